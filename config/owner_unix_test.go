//go:build unix

package config

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What the superuser writes in a service's directory stays readable for the service.
func TestOwner(t *testing.T) {
	want := os.Geteuid()
	path := t.TempDir()
	if want == 0 {
		want = 65534
		if err := os.Chown(path, want, want); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.WriteSecret("x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	unlock, err := d.TryLock("running")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	for _, name := range []string{"x", lockFile, "running"} {
		fi, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != want {
			t.Errorf("%s is user %d's, want %d", name, st.Uid, want)
		}
	}
}
