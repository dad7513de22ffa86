//go:build unix

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// oldestSupported is a commit of before there were releases: its store has an older schema,
// and its daemons do not know how to be measured. What is released takes its place.
const oldestSupported = "f59cbf04ec9639123835901112f83b8e2c06b2e4"

// older is a culvert of before this work tree.
type older struct {
	name string // for people: what it is, and the commit
	bin  string
}

// olderCommits are two older versions of the repository's history, by what they are: the one
// before this, and the newest release; while there is none, the oldest commit that is still
// supported. It is empty where there is no history, of which it tells.
func olderCommits(t *testing.T) map[string]string {
	t.Helper()
	var left leftOut
	if ok, err := left.condition("have:git"); err != nil || !ok {
		left.report(t)
		return nil
	}
	if why := noHistory(); why != "" {
		// No program to install mends this, so that it is told and never a failure.
		t.Logf("left out: older versions are NOT tested: %s", why)
		noteLeftOut(t, []string{"the repository's history, and " + why})
		return nil
	}
	previous, err := previousCommit()
	if err != nil {
		t.Fatal(err)
	}
	second, what := oldestSupported, "oldest supported"
	if tag, err := git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD"); err == nil {
		second, what = tag, "release "+tag
	}
	return map[string]string{"previous": previous, what: second}
}

// git runs git in the repository and returns what it prints, trimmed.
func git(args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.Command("git", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// noHistory says why the history cannot be used; empty: it can.
func noHistory() string {
	shallow, err := git("rev-parse", "--is-shallow-repository")
	switch {
	case err != nil:
		return "this is no clone of it: " + err.Error() // for people
	case shallow != "false":
		return "this clone is shallow"
	default:
		return ""
	}
}

// sources is what a binary is made of.
var sources = []string{"--", ":/*.go", ":/*.sql", ":/go.mod", ":(exclude,top)*_test.go"}

// previousCommit is the newest commit from which another binary is made than from the work
// tree.
func previousCommit() (string, error) {
	changed, err := git(append([]string{"status", "--porcelain"}, sources...)...)
	if err != nil || changed != "" {
		return "HEAD", err
	}
	last, err := git(append([]string{"log", "-n", "1", "--format=%H"}, sources...)...)
	if err != nil {
		return "", err
	}
	return git("rev-parse", "--verify", last+"^")
}

// buildOlder builds the culvert of a commit.
func buildOlder(t *testing.T, what, commit string) older {
	t.Helper()
	short, err := git("rev-parse", "--short=10", commit+"^{commit}")
	if err != nil {
		t.Fatal(err)
	}
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "-C", top, "archive", "--format=tar", short)
	archive, err := cmd.Output()
	if err != nil {
		t.Fatalf("git archive %s: %v", short, err)
	}
	dir := t.TempDir()
	if err := unpack(archive, dir); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "culvert")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./cmd/culvert")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", short, err, out)
	}
	return older{name: what + " (" + short + ")", bin: bin}
}

// unpack writes the files of a tar archive below dir.
func unpack(archive []byte, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(h.Name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := root.WriteFile(h.Name, data, 0o600); err != nil {
			return err
		}
	}
}

// buildCulvert builds the work tree's culvert, with further flags for the build.
func buildCulvert(t *testing.T, flags ...string) (bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), "culvert")
	args := append([]string{"build", "-buildvcs=false", "-o", bin}, flags...)
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// overlay is a file for go build -overlay, which has it read another text in one place of a
// source file.
func overlay(t *testing.T, file, text, by string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), text) != 1 {
		t.Fatalf("%s does not have %q once", file, text)
	}
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), text, by, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
