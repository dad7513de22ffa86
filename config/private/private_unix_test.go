//go:build unix

package private

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Each bit that lets others in is refused where it matters, and no other.
func TestModes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	for mode := os.FileMode(0o400); mode <= 0o777; mode++ {
		if mode&0o400 == 0 {
			continue
		}
		write(t, file, mode)
		for use, bad := range map[Use]os.FileMode{Secret: 0o077, Trust: 0o022} {
			f, err := Open(file, use)
			if err == nil {
				f.Close()
			}
			switch {
			case mode&bad == 0 && err != nil:
				t.Errorf("mode %o, use %d: %v", mode, use, err)
			case mode&bad != 0 && use == Secret && mode&0o044 != 0:
				wantRefused(t, mode.String(), err, whyRead, "chmod 600 ")
			case mode&bad != 0:
				wantRefused(t, mode.String(), err, whyChange, "chmod 600 ")
			}
		}
	}
	if f, err := OpenFile(write(t, file, 0o644), os.O_WRONLY|os.O_CREATE); err == nil {
		f.Close()
		t.Error("a file that others can read is written")
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	for mode, want := range map[os.FileMode][2]string{
		0o700: {}, 0o755: {"", "can be entered by other users"}, 0o711: {"", "can be entered by other users"},
		0o770: {whyChange, "can be entered by other users"}, 0o702: {whyChange, "can be entered by other users"},
	} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range []error{CheckDir(dir, fi), CheckClosed(dir)} {
			if want[i] == "" {
				if err != nil {
					t.Errorf("mode %o: %v", mode, err)
				}
				continue
			}
			wantRefused(t, mode.String(), err, want[i], "chmod 700 ")
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "a link", CheckClosed(link), "is not a directory", "rm -r ")
	wantRefused(t, "a file", CheckClosed(write(t, filepath.Join(dir, "f"), 0o600)), "is not a directory", "rm -r ")
	if CheckClosed(filepath.Join(dir, "none")) == nil {
		t.Error("a directory that is not there is taken")
	}
}

// A link leads to what is checked; where it leads is what counts.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	loose := write(t, filepath.Join(dir, "loose"), 0o644)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(loose, link); err != nil {
		t.Fatal(err)
	}
	_, err := Open(link, Secret)
	wantRefused(t, "a link to a file that others read", err, whyRead, "chmod 600 "+link)
	if _, err := OpenFile(link, os.O_RDWR|os.O_CREATE); err == nil {
		t.Error("a link to a file that others read is written")
	}
	if _, err := OpenFile(filepath.Join(dir, "link"), os.O_RDWR|os.O_CREATE|os.O_EXCL); err == nil {
		t.Error("a link stands in the place of a new file")
	}
}

// A pipe is no file that others could open by its name: it passes.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			err = w.Close()
		}
		done <- err
	}()
	f, err := Open(path, Secret)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whose a file is counts, and not only its mode.
func TestOwners(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "f"), 0o600)
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	st := *fi.Sys().(*syscall.Stat_t)
	own := os.Geteuid()
	for name, c := range map[string]struct {
		uid   uint32
		owner Owner
		want  bool
	}{
		"mine":                         {uint32(own), Owner{}, true},
		"the superuser's":              {0, Owner{}, true},
		"another's":                    {uint32(own) + 77, Owner{}, false},
		"of the directory's owner":     {uint32(own) + 77, Owner{foreign: true, uid: own + 77}, true},
		"named to the superuser":       {uint32(own) + 77, Owner{any: true}, true},
		"not of the directory's owner": {uint32(own) + 78, Owner{foreign: true, uid: own + 77}, false},
	} {
		fake := st
		fake.Uid = c.uid
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		err = c.owner.Check(f, statAs{fi, &fake}, file, Secret)
		f.Close()
		if c.want && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.want {
			wantRefused(t, name, err, whyForeign, "sudo chown ")
		}
	}
}

// statAs is a file's state with another owner.
type statAs struct {
	os.FileInfo
	st *syscall.Stat_t
}

func (s statAs) Sys() any { return s.st }
