//go:build unix

package config

import (
	"errors"
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

// Nothing in the directory is read through a link that leads out of it, whoever made
// that; what is inside counts as it is.
func TestLinksOut(t *testing.T) {
	d := openDir(t)
	outside := filepath.Join(t.TempDir(), "secret")
	writeFile(t, outside, "outside", 0o600)
	for _, name := range []string{identityFile, knownFile, clientsFile, pairingsFile, enrollmentFile} {
		if err := os.Symlink(outside, d.File(name)); err != nil {
			t.Fatal(err)
		}
		if b, err := d.ReadSecret(name); err == nil {
			t.Errorf("%s: read %q through a link", name, b)
		}
		if f, err := d.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE); err == nil {
			f.Close()
			t.Errorf("%s: opened through a link", name)
		}
	}
	if _, err := d.Identity(); err == nil {
		t.Error("a key from outside is used")
	}
	if _, err := d.AuthorizedClients().Lookup([32]byte{1}); err == nil {
		t.Error("grants from outside are used")
	}
	if got := readFile(t, outside); got != "outside" {
		t.Errorf("the file outside holds %q", got)
	}
	writeFile(t, d.File("loose"), "x", 0o644)
	if err := os.Symlink("loose", d.File("inside")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadSecret("inside"); err == nil {
		t.Error("a file that others can read is read through a link")
	}
}

// Every secret file is refused when others can read it, and every file of trust when
// they can change it, with the mend.
func TestEachFileIsChecked(t *testing.T) {
	for _, c := range []struct {
		name string
		mode os.FileMode
		use  func(d *Dir) error
	}{
		{identityFile, 0o640, func(d *Dir) error { _, err := d.Identity(); return err }},
		{identityFile, 0o602, func(d *Dir) error { _, err := d.Identity(); return err }},
		{pairingsFile, 0o604, func(d *Dir) error { _, err := d.Pairings().List(); return err }},
		{pairingsFile, 0o640, func(d *Dir) error { return d.Pairings().Purge() }},
		{enrollmentFile, 0o640, func(d *Dir) error { _, err := d.Enrollment(); return err }},
		{clientsFile, 0o620, func(d *Dir) error { return d.AuthorizedClients().Allowed([32]byte{1}, "web") }},
		{clientsFile, 0o602, func(d *Dir) error { _, err := d.AuthorizedClients().Revoke("x"); return err }},
		{knownFile, 0o620, func(d *Dir) error { _, err := d.KnownDaemons().Lookup("x"); return err }},
		{knownFile, 0o602, func(d *Dir) error { _, err := d.KnownDaemons().Forget("x"); return err }},
		{"audit.log", 0o644, func(d *Dir) error {
			f, err := d.OpenFile("audit.log", os.O_WRONLY|os.O_APPEND|os.O_CREATE)
			if err == nil {
				f.Close()
			}
			return err
		}},
		{"daemon.lock", 0o666, func(d *Dir) error { _, err := d.TryLock("daemon.lock"); return err }},
	} {
		d := openDir(t)
		writeFile(t, d.File(c.name), "x", c.mode)
		err := c.use(d)
		if pe, ok := errors.AsType[*PermissionError](err); !ok || pe.Mend != "chmod 600 "+d.File(c.name) {
			t.Errorf("%s, mode %o: %v, want it to be refused with the mend", c.name, c.mode, err)
		}
		if b := readFile(t, d.File(c.name)); b != "x" {
			t.Errorf("%s: was changed to %q", c.name, b)
		}
	}
}
