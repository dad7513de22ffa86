package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// shared is where the release that the tests look at is made, once.
var shared string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "culvert-release-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared = dir
	return m.Run()
}

// clone is the repository's last commit in a directory of its own, as a stranger has it.
func clone(dir string) error {
	if out, err := exec.Command("git", "clone", "-q", "..", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// platforms of the tests: one of each system.
var testPlatforms = []string{"linux/" + runtime.GOARCH, "windows/amd64", "darwin/arm64"}

// made is a release of the last commit.
var made = sync.OnceValues(func() (*release, error) {
	return makeRelease(filepath.Join(shared, "one"))
})

func makeRelease(dir string) (*release, error) {
	r := &release{
		root: filepath.Join(dir, "src"), out: filepath.Join(dir, "dist"), url: "https://example.org/v%s",
		platforms: testPlatforms, formats: strings.Split(allFormats, ","),
	}
	if err := clone(r.root); err != nil {
		return nil, err
	}
	return r, r.run()
}

func theRelease(t *testing.T) *release {
	t.Helper()
	r, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// leftOut says that a program is lacking, which is a failure where all are demanded.
func leftOut(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CULVERT_TEST_REQUIRE_ALL") != "" {
		t.Fatal(what)
	}
	if path := os.Getenv("CULVERT_TEST_LEFT_OUT"); path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := fmt.Fprintf(f, "%s: %s\n", t.Name(), what); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip("left out: " + what)
}

// Two releases of a commit, made in other directories, at other times, in another time zone
// and with other rights on the files, have equal bytes; and so has a program for which
// everything is compiled anew.
func TestReproducible(t *testing.T) {
	one := theRelease(t)
	t.Setenv("TZ", "Pacific/Chatham")
	t.Setenv("LC_ALL", "tr_TR.UTF-8")
	t.Setenv("HOSTNAME", "elsewhere")
	two, err := makeRelease(filepath.Join(shared, "another and much longer directory", "two"))
	if err != nil {
		t.Fatal(err)
	}
	if len(one.made) < 14 || len(one.made) != len(two.made) {
		t.Fatalf("made %d and %d files", len(one.made), len(two.made))
	}
	for _, name := range append(one.made, "SHA256SUMS") {
		if a, b := fileSum(t, filepath.Join(one.out, name)), fileSum(t, filepath.Join(two.out, name)); a != b {
			t.Errorf("%s differs", name)
		}
	}
	t.Setenv("GOCACHE", filepath.Join(shared, "cache"))
	bin, err := two.build(filepath.Join(shared, "anew"), "linux", runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	if sum := fileSum(t, bin); !bytes.Contains(one.built["linux/"+runtime.GOARCH].bom, []byte(sum)) {
		t.Error("a program that was compiled anew differs")
	}
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Every file is in SHA256SUMS, with its checksum.
func TestChecksums(t *testing.T) {
	r := theRelease(t)
	f, err := os.Open(filepath.Join(r.out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sums := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		sum, name, _ := strings.Cut(s.Text(), "  ")
		sums[name] = sum
	}
	entries, err := os.ReadDir(r.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "SHA256SUMS" && sums[name] != fileSum(t, filepath.Join(r.out, name)) {
			t.Errorf("%s: checksum %q", name, sums[name])
		}
	}
	if len(sums) != len(entries)-1 {
		t.Errorf("%d checksums of %d files", len(sums), len(entries)-1)
	}
}

// What is released is what is committed and tagged.
func TestReleaseVersion(t *testing.T) {
	root := filepath.Join(t.TempDir(), "src")
	if err := clone(root); err != nil {
		t.Fatal(err)
	}
	tag := func(name string) {
		t.Helper()
		if _, err := git(root, "-c", "tag.gpgsign=false", "tag", "-f", name); err != nil {
			t.Fatal(err)
		}
	}
	try := func(want, trouble string) {
		t.Helper()
		r := &release{root: root, final: true}
		err := r.setVersion()
		if got := fmt.Sprint(err); r.version != want && trouble == "" || trouble != "" && !strings.Contains(got, trouble) {
			t.Errorf("version %q, %s; want %q, %q", r.version, got, want, trouble)
		}
	}
	tag("nightly")
	try("", "has no tag")
	tag("v1.2.3-rc1")
	try("", "has no tag")
	tag("v1.2.3")
	try("1.2.3", "")
	if err := os.WriteFile(filepath.Join(root, "new.go"), []byte("package x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	try("", "commit first")
	if err := os.Remove(filepath.Join(root, "new.go")); err != nil {
		t.Fatal(err)
	}
	tag("v1.2.4")
	try("", "both")
}

// The time is the commit's, or what the builder says.
func TestSourceDateEpoch(t *testing.T) {
	c, err := headCommit("..")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1000000000")
	d, err := headCommit("..")
	if err != nil || d.time.Unix() != 1e9 || c.time.Unix() == 1e9 || d.hash != c.hash {
		t.Errorf("%v, %v, %v", c, d, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := headCommit(".."); err == nil {
		t.Error("a time that is none is accepted")
	}
}
