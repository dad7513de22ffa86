//go:build unix

package config

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes an exclusive lock on f without waiting. The lock belongs to
// the open file, so it also excludes other users within this process, and the
// system drops it when the process dies.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return false, err
		}
	}
}

// syncDir makes a rename inside the directory durable.
func syncDir(dir *os.File) error { return dir.Sync() }

// isInUse: a rename here never minds who has the file open.
func isInUse(error) bool { return false }
