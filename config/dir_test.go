package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"culvert/config/private"
)

func TestOpenMakesPrivateDirectory(t *testing.T) {
	d := openDir(t)
	fi, err := os.Stat(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o700 {
		t.Errorf("mode = %v, want 0700", fi.Mode().Perm())
	}
	if !filepath.IsAbs(d.Path()) {
		t.Errorf("Path() = %q, want an absolute one", d.Path())
	}
}

func TestOpenRefusesSharedDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no permission bits there: see doc.go
	}
	dir := t.TempDir()
	chmod(t, dir, 0o770)
	_, err := Open(dir)
	pe, ok := errors.AsType[*PermissionError](err)
	if !ok || !strings.Contains(pe.Mend, "chmod 700 ") {
		t.Errorf("Open of a group-writable directory: got %v, want *PermissionError", err)
	}
	chmod(t, dir, 0o755) // readable is no danger: the files are 0600
	openAt(t, dir)
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "x", 0o600)
	for _, p := range []string{file, filepath.Join(file, "below")} {
		if d, err := Open(p); err == nil {
			_ = d.Close() // the test has failed
			t.Errorf("Open(%s) worked", p)
		}
	}
}

func TestWriteSecretReplacesWhole(t *testing.T) {
	d := openDir(t)
	for _, want := range []string{"first", "", "second, longer"} {
		if err := d.WriteSecret("x", []byte(want)); err != nil {
			t.Fatal(err)
		}
		got, err := d.ReadSecret("x")
		if err != nil || string(got) != want {
			t.Errorf("ReadSecret = %q, %v, want %q", got, err, want)
		}
	}
	fi, err := os.Stat(d.File("x"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", fi.Mode().Perm())
	}
	if err := d.Remove("x"); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove("x"); err != nil {
		t.Errorf("Remove of a missing file: %v", err)
	}
	if _, err := d.ReadSecret("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadSecret of a missing file: %v, want fs.ErrNotExist", err)
	}
	left, err := filepath.Glob(filepath.Join(d.Path(), "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != lockFile {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A crash between writing and renaming leaves a temporary file: the next write
// goes on, and does not follow what somebody put in its place.
func TestWriteSecretOverLeftovers(t *testing.T) {
	d := openDir(t)
	writeFile(t, d.File("x.tmp"), "half of a fi", 0o644)
	if err := d.WriteSecret("x", []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, d.File("x")); got != "whole" {
		t.Errorf("content = %q", got)
	}
	outside := filepath.Join(t.TempDir(), "victim")
	writeFile(t, outside, "untouched", 0o600)
	if err := os.Symlink(outside, d.File("y.tmp")); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteSecret("y", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, outside); got != "untouched" {
		t.Errorf("the link's target holds %q", got)
	}
}

func TestWriteSecretFailureKeepsOldContent(t *testing.T) {
	d := openDir(t)
	if err := d.WriteSecret("x", []byte("old")); err != nil {
		t.Fatal(err)
	}
	// A directory in the temporary file's place cannot be replaced.
	if err := os.MkdirAll(filepath.Join(d.File("x.tmp"), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteSecret("x", []byte("new")); err == nil {
		t.Fatal("WriteSecret worked")
	}
	if got := readFile(t, d.File("x")); got != "old" {
		t.Errorf("content = %q, want the old one", got)
	}
}

func TestReadSecretRefusals(t *testing.T) {
	d := openDir(t)
	if runtime.GOOS != "windows" {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620, 0o602, 0o666, 0o610} {
			writeFile(t, d.File("s"), "secret", mode)
			_, err := d.ReadSecret("s")
			pe, ok := errors.AsType[*PermissionError](err)
			if !ok {
				t.Errorf("mode %v: got %v, want *PermissionError", mode, err)
				continue
			}
			if want := "chmod 600 " + d.File("s"); !strings.Contains(pe.Error(), want) {
				t.Errorf("mode %v: %q does not hold the mend %q", mode, pe, want)
			}
		}
	}
	if err := os.Mkdir(d.File("dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadSecret("dir"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: got %v", err)
	}
	writeFile(t, d.File("big"), strings.Repeat("x", maxFile+1), 0o600)
	if _, err := d.ReadSecret("big"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: got %v", err)
	}
	for _, out := range []string{"../x", "/etc/passwd"} {
		if _, err := d.ReadSecret(out); err == nil {
			t.Errorf("ReadSecret(%q) left the directory", out)
		}
	}
}

// Writers of one process and of several ones never lose each other's change.
func TestUpdateIsExclusive(t *testing.T) {
	const workers, rounds = 4, 10
	dir := filepath.Join(t.TempDir(), "state")
	openAt(t, dir)
	var wg sync.WaitGroup
	for range workers / 2 {
		d := openAt(t, dir)
		wg.Go(func() { appendLines(t, d, rounds) })
	}
	for range workers / 2 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperAppend$", "-test.v")
		cmd.Env = append(os.Environ(), helperEnv+"="+dir)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
				t.Errorf("helper process: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	if got, want := strings.Count(readFile(t, filepath.Join(dir, "shared")), "\n"), workers*rounds; got != want {
		t.Errorf("%d lines, want %d: changes were lost", got, want)
	}
}

// helperEnv makes this test binary the second process of TestUpdateIsExclusive.
const helperEnv = "CONFIG_TEST_APPEND_DIR"

func TestHelperAppend(t *testing.T) {
	if dir := os.Getenv(helperEnv); dir != "" {
		appendLines(t, openAt(t, dir), 10)
	}
}

func appendLines(t *testing.T, d *Dir, n int) {
	for i := range n {
		err := d.update("shared", private.Secret, func(old []byte) ([]byte, error) {
			return fmt.Appendf(old, "%d %d\n", os.Getpid(), i), nil
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// Somebody who holds the lock and never lets go ends in ErrLocked.
func TestLockTimeout(t *testing.T) {
	d := openDir(t)
	synctest.Test(t, func(t *testing.T) {
		unlock, err := d.lock()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteSecret("x", nil); !errors.Is(err, ErrLocked) {
			t.Errorf("WriteSecret under a foreign lock: got %v, want ErrLocked", err)
		}
		unlock()
		if err := d.WriteSecret("x", nil); err != nil {
			t.Errorf("WriteSecret after unlock: %v", err)
		}
	})
}

func TestUpdateLeavesFileOnError(t *testing.T) {
	d := openDir(t)
	if err := d.WriteSecret("x", []byte("old")); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(d.File("x"))
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	for _, change := range []func([]byte) ([]byte, error){
		func([]byte) ([]byte, error) { return nil, boom },
		func(old []byte) ([]byte, error) { return old, nil },
	} {
		if err := d.update("x", private.Secret, change); err != nil && !errors.Is(err, boom) {
			t.Errorf("update: %v", err)
		}
		after, err := os.Stat(d.File("x"))
		if err != nil || !os.SameFile(before, after) {
			t.Errorf("the file was written again (%v)", err)
		}
	}
}
