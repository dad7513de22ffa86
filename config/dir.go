package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"culvert/config/private"
)

// Limits and timeouts of our own.
const (
	// maxFile bounds what is read from one state file, in bytes: some
	// thousands of lines. It keeps a wrong file out of memory.
	maxFile = 4 << 20
	// lockTimeout is how long a change waits for another process's change.
	// Changes take milliseconds; one that lasts longer is stuck.
	lockTimeout = 10 * time.Second
	// lockPoll is the pause between two tries to take the lock: flock cannot
	// wait with a time limit.
	lockPoll = 10 * time.Millisecond
	// renameTimeout is how long a file that another process reads is waited
	// for, on Windows. Reading takes less than a millisecond.
	renameTimeout = 2 * time.Second
)

const lockFile = ".lock"

// Dir is an open state directory. All methods may be called concurrently, and
// other processes may use the same directory at the same time.
type Dir struct {
	path     string
	root     *os.Root
	clients  *AuthorizedClients // one per Dir: it remembers what it has read and reported
	sealWork int                // as the constant; tests, which seal often, have less
	owner    private.Owner      // whose the directory is
}

// Open opens the state directory at path and makes it, for its owner alone, if it
// does not exist. A directory in which other users can replace files is refused with
// a *PermissionError. Close frees it.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	if err := private.MkdirAll(abs); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	fi, err := root.Stat(".")
	if err == nil {
		err = private.CheckDir(abs, fi)
	}
	if err != nil {
		_ = root.Close() // nothing was written
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	d := &Dir{path: abs, root: root, owner: private.OwnerOf(fi), sealWork: sealWork}
	d.clients = &AuthorizedClients{dir: d, now: time.Now, reported: make(map[string]bool)}
	return d, nil
}

// Path is the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// File is the path of a file in the directory: for things that need a path,
// such as a database or a socket.
func (d *Dir) File(name string) string { return filepath.Join(d.path, name) }

// Close frees the directory. It satisfies io.Closer.
func (d *Dir) Close() error { return d.root.Close() }

// ReadSecret reads a file that only its owner may read; one that others may is a
// *PermissionError. A missing file satisfies isMissing(err).
func (d *Dir) ReadSecret(name string) ([]byte, error) {
	b, _, err := d.read(name, private.Secret)
	return b, err
}

// read returns a file's content and the state that it was read in.
func (d *Dir) read(name string, use private.Use) ([]byte, fs.FileInfo, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", d.File(name), underlying(err))
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", d.File(name), underlying(err))
	}
	if !fi.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("read %s: not a regular file", d.File(name))
	}
	if err := d.owner.Check(f, fi, d.File(name), use); err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", d.File(name), underlying(err))
	}
	if len(b) > maxFile {
		return nil, nil, fmt.Errorf("read %s: larger than %d bytes", d.File(name), maxFile)
	}
	return b, fi, nil
}

// OpenFile opens a file of the directory that only its owner may read, as os.OpenFile
// does: for logs and databases, which are not written at one blow. With os.O_CREATE one
// that is not there is made; one that others may read is a *PermissionError. flag must
// not have os.O_TRUNC. A link that leads out of the directory is not followed.
func (d *Dir) OpenFile(name string, flag int) (*os.File, error) {
	if flag&os.O_TRUNC != 0 {
		panic("config: O_TRUNC would empty a file before it is checked")
	}
	f, err := d.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.File(name), underlying(err))
	}
	fi, err := f.Stat()
	switch {
	case err != nil:
	case !fi.Mode().IsRegular():
		err = errors.New("not a regular file")
	default:
		if err = d.owner.Check(f, fi, d.File(name), private.Secret); err == nil && flag&os.O_CREATE != 0 {
			err = d.owner.Give(f)
		}
	}
	if err != nil {
		_ = f.Close() // not used
		return nil, fmt.Errorf("open %s: %w", d.File(name), underlying(err))
	}
	return f, nil
}

// WriteSecret replaces a file's content, mode 0600, so that a crash at any
// moment leaves the old or the new content: temporary file, sync, rename, sync
// of the directory. It takes the lock.
func (d *Dir) WriteSecret(name string, data []byte) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return d.write(name, data)
}

// Rename gives a file another name in the directory, in the place of what has that
// name; a missing one satisfies errors.Is(err, fs.ErrNotExist).
func (d *Dir) Rename(from, to string) error {
	if err := d.rename(from, to); err != nil {
		return fmt.Errorf("rename %s: %w", d.File(from), underlying(err))
	}
	return nil
}

// Remove removes a file; a missing one is no error. It takes the lock.
func (d *Dir) Remove(name string) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.root.Remove(name); err != nil && !isMissing(err) {
		return fmt.Errorf("remove %s: %w", d.File(name), underlying(err))
	}
	return d.sync()
}

// update reads a file, lets change make the new content, and writes that, all
// under the lock. A missing file reads as nil; nothing is written when change
// fails or returns what it was given.
func (d *Dir) update(name string, use private.Use, change func(old []byte) ([]byte, error)) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	old, _, err := d.read(name, use)
	missing := isMissing(err)
	if err != nil && !missing {
		return err
	}
	data, err := change(old)
	if err != nil {
		return err
	}
	if !missing && bytes.Equal(data, old) || missing && data == nil {
		return nil
	}
	return d.write(name, data)
}

// write is the atomic write; the caller holds the lock, which is what makes a
// fixed temporary name safe: what a crash left behind is overwritten.
func (d *Dir) write(name string, data []byte) (err error) {
	tmp := name + ".tmp"
	defer func() {
		if err != nil {
			_ = d.root.Remove(tmp) // best effort: the next write replaces it
			err = fmt.Errorf("write %s: %w", d.File(name), underlying(err))
		}
	}()
	if err := d.root.Remove(tmp); err != nil && !isMissing(err) {
		return err
	}
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = d.owner.Give(f)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.sync()
}

// rename replaces a file. On Windows that fails while another process has the
// file open, as `culvert expose` has for a moment whenever it looks at a grant.
func (d *Dir) rename(from, to string) error {
	deadline := time.NewTimer(renameTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		err := d.root.Rename(from, to)
		if err == nil || !isInUse(err) {
			return err
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return err
		}
	}
}

// sync makes renames and removals durable.
func (d *Dir) sync() error {
	f, err := d.root.Open(".")
	if err != nil {
		return fmt.Errorf("sync %s: %w", d.path, underlying(err))
	}
	defer f.Close()
	if err := syncDir(f); err != nil {
		return fmt.Errorf("sync %s: %w", d.path, underlying(err))
	}
	return nil
}

// lock takes the directory's lock, against other processes and against other
// goroutines of this one, and waits at most lockTimeout for it (ErrLocked).
func (d *Dir) lock() (unlock func(), err error) { return d.Lock(lockFile, lockTimeout) }

// underlying strips the operation and the relative path that os.Root puts into
// its errors: ours name the full path.
func underlying(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}
