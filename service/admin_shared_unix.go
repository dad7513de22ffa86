//go:build unix

package service

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Where system services of Linux have their states and their sockets. systemd makes
// /run/NAME for a unit with RuntimeDirectory=NAME and removes it when that ends.
const (
	systemStates  = "/var/lib"
	systemSockets = "/run"
)

// sharedAdminDir is the directory where a system service has its admin socket, so that the
// group of that directory may use it, who cannot even look into the state directory: for
// /var/lib/NAME it is /run/NAME. Only the superuser can have made that; it must belong to
// whom the state directory belongs to.
func sharedAdminDir(stateDir string) (string, bool) {
	return sharedDir(stateDir, systemStates, systemSockets)
}

func sharedDir(stateDir, states, sockets string) (string, bool) {
	if filepath.Dir(stateDir) != states {
		return "", false
	}
	in := filepath.Join(sockets, filepath.Base(stateDir))
	uid, mode, err := ownerOf(in)
	if err != nil || mode&fs.ModeDir == 0 || mode.Perm()&0o027 != 0 || mode.Perm()&0o050 == 0 {
		return "", false
	}
	owner, _, err := ownerOf(stateDir)
	return in, err == nil && owner == uid
}

func ownerOf(path string) (uid uint32, mode fs.FileMode, err error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0, 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return st.Uid, fi.Mode(), nil
}

// foreignDir tells whether a state directory is another user's, and whose.
func foreignDir(stateDir string) (foreign bool, name string) {
	uid, _, err := ownerOf(stateDir)
	if err != nil || int64(uid) == int64(os.Geteuid()) {
		return false, "" // there is none, or openDir says what is wrong
	}
	name = strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return true, name
}

// mayOpen tells whether this process can use a state directory that is another user's.
func mayOpen() bool { return os.Geteuid() == 0 }
