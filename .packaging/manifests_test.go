package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestManifests compares the formula and winget's files with golden ones.
func TestManifests(t *testing.T) {
	r := &release{
		out: t.TempDir(), version: "1.2.3", url: "https://example.org/v%s", commit: commit{time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		archives: map[string]archived{},
	}
	for platform := range strings.SplitSeq(allPlatforms, ",") {
		base := "culvert_1.2.3_" + strings.ReplaceAll(platform, "/", "_")
		r.archives[platform] = archived{base + ".tar.gz", strings.Repeat("0123456789abcdef", 4)[:62] + string("abcdef"[len(r.archives)]) + "0", base}
	}
	brew, err := r.homebrew()
	if err != nil {
		t.Fatal(err)
	}
	winget, err := r.winget()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(brew, winget...) {
		got, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || string(want) != string(got) {
			t.Errorf("%s is another one (write it anew with -update): %v\n%s", name, err, got)
		}
	}
	empty := &release{out: t.TempDir(), version: "1.2.3", archives: map[string]archived{"linux/amd64": r.archives["linux/amd64"]}}
	for what, f := range map[string]func() ([]string, error){"homebrew": empty.homebrew, "winget": empty.winget} {
		if made, err := f(); made != nil || err != nil {
			t.Errorf("%s without archives for it: %v, %v", what, made, err)
		}
	}
}

// The manifests of a release have the checksums of its archives, and name them.
func TestManifestChecksums(t *testing.T) {
	r := theRelease(t)
	for file, platforms := range map[string][]string{
		"culvert.rb":                     {testPlatforms[0], "darwin/arm64"},
		"Culvert.Culvert.installer.yaml": {"windows/amd64"},
	} {
		text, err := os.ReadFile(filepath.Join(r.out, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, platform := range platforms {
			a := r.archives[platform]
			if sum := fileSum(t, filepath.Join(r.out, a.name)); !strings.Contains(strings.ToLower(string(text)), sum) {
				t.Errorf("%s has not %s of %s", file, sum, a.name)
			}
			if !strings.Contains(string(text), "https://example.org/v"+fileVersion(r.version)+"/"+a.name) {
				t.Errorf("%s does not say where %s is", file, a.name)
			}
		}
	}
}

// The formula is Ruby.
func TestFormulaSyntax(t *testing.T) {
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		leftOut(t, "ruby is not installed: the formula's syntax is not checked")
	}
	if out, err := exec.Command(ruby, "-c", "testdata/culvert.rb").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
