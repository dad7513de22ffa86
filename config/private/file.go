package private

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens a file for reading that is fit for that use. A pipe or a device, as
// /dev/stdin is, passes unchecked: it is no file that others could open by name. It
// may block on a pipe that nobody writes to.
func Open(path string, use Use) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := checkOpened(f, path, use); err != nil {
		_ = f.Close() // not used
		return nil, err
	}
	return f, nil
}

func checkOpened(f *os.File, path string, use Use) error {
	fi, err := f.Stat()
	switch {
	case err != nil:
		return err
	case fi.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case !fi.Mode().IsRegular():
		return nil
	}
	return Named().Check(f, fi, path, use)
}

// OpenFile opens a secret file as os.OpenFile does, without O_TRUNC. With O_CREATE
// one that is not there is made, for its owner alone from its first moment on. One
// that is there is checked.
func OpenFile(path string, flag int) (*os.File, error) {
	if flag&os.O_TRUNC != 0 {
		panic("private: O_TRUNC would empty a file before it is checked")
	}
	f, err := openFile(path, flag)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		err = Named().Check(f, fi, path, Secret)
	}
	if err != nil {
		_ = f.Close() // not used
		return nil, err
	}
	return f, nil
}

// CreateTemp makes a new secret file in a directory, under a name that begins so
// and that nobody can guess, open for reading and writing.
func CreateTemp(dir, prefix string) (*os.File, error) {
	return OpenFile(filepath.Join(dir, prefix+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// MkdirTemp makes a new private directory in the system's temporary one, under a
// name that begins so. The caller removes it.
func MkdirTemp(prefix string) (string, error) {
	path := filepath.Join(os.TempDir(), prefix+rand.Text())
	return path, Mkdir(path)
}

// MkdirAll makes a directory and those above it that are missing, all of them
// private. One that is there stays as it is: see CheckDir.
func MkdirAll(path string) error {
	if fi, err := os.Stat(path); err == nil {
		if fi.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: path, Err: errNotDir}
	}
	if parent := filepath.Dir(path); parent != path {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	err := Mkdir(path)
	if errors.Is(err, fs.ErrExist) { // somebody was as fast
		if fi, serr := os.Stat(path); serr == nil && fi.IsDir() {
			return nil
		}
	}
	return err
}
