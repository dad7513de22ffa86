//go:build unix

package service

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// checkPrivateDir refuses a directory in a shared place that somebody else has made or can
// enter.
func checkPrivateDir(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || fi.Mode().Perm()&0o077 != 0 || !ok || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a private directory of this user: remove it, or use a shorter --state-dir", path)
	}
	return nil
}

// mayAsk: this process's user, who could change the files as well, and the superuser.
func mayAsk(uid uint32) error {
	if uid == 0 || int64(uid) == int64(os.Geteuid()) {
		return nil
	}
	return errForeignUser(uid)
}

func isAddrInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
