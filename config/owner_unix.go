//go:build unix

package config

import (
	"io/fs"
	"os"
	"syscall"
)

// owner is whose a directory is, where that is not this process's user. Only the superuser
// meets such a directory: what he writes there becomes its owner's, or a service of that
// user could not read it any more.
type owner struct {
	foreign  bool
	uid, gid int
}

func ownerOf(fi fs.FileInfo) owner {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}
	}
	return owner{foreign: int64(st.Uid) != int64(os.Geteuid()), uid: int(st.Uid), gid: int(st.Gid)}
}

// give makes an open file the owner's.
func (o owner) give(f *os.File) error {
	if !o.foreign {
		return nil
	}
	return f.Chown(o.uid, o.gid)
}
