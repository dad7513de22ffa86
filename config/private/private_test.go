package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	err := os.WriteFile(path, []byte("x"), 0o600)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// wantRefused wants an error that says why, with a mend.
func wantRefused(t *testing.T, what string, err error, why, mend string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Why != why || !strings.HasPrefix(e.Mend, mend) || !strings.Contains(err.Error(), e.Mend) {
		t.Errorf("%s: %v, want that it %s, mend %s", what, err, why, mend)
	}
}

// What is made is private from the start, whatever the umask, and is taken again.
func TestMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "f")
	for range 2 {
		f, err := OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	temp, err := CreateTemp(dir, ".store-")
	if err != nil || !strings.HasPrefix(filepath.Base(temp.Name()), ".store-") {
		t.Fatalf("%v, %v", temp, err)
	}
	temp.Close()
	tempDir, err := MkdirTemp("culvert-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(tempDir)
	if runtime.GOOS != "windows" {
		for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, file: 0o600, temp.Name(): 0o600, tempDir: 0o700} {
			if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
				t.Errorf("%s is %v, %v; want %v", path, fi.Mode(), err, want)
			}
		}
	}
	for _, d := range []string{dir, tempDir} {
		fi, err := os.Stat(d)
		if err := errors.Join(err, CheckDir(d, fi), CheckClosed(d)); err != nil {
			t.Errorf("what was made is refused: %v", err)
		}
	}
	if f, err := Open(file, Secret); err != nil {
		t.Errorf("what was made is refused: %v", err)
	} else {
		f.Close()
	}
	if _, err := OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is there is made: %v", err)
	}
	if err := MkdirAll(filepath.Join(file, "below")); err == nil {
		t.Error("a directory is made below a file")
	}
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := Open(path, Secret); err == nil {
			t.Errorf("%s is opened", path)
		}
	}
	if _, err := OpenFile(dir, os.O_RDONLY); err == nil {
		t.Error("a directory is opened as a file")
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/home/a/x.key":   "/home/a/x.key",
		"/home/a b/x.key": "'/home/a b/x.key'",
		"/a/it's":         `"/a/it's"`,
		"/a/$(x)":         "'/a/$(x)'",
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
