//go:build unix

package private

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

var errNotDir = syscall.ENOTDIR

// Owner is whose a directory is, where that is not this process's user; zero: it is.
// Only the superuser uses such a directory: what he writes there becomes its owner's,
// or a service of that user could not read it any more.
type Owner struct {
	foreign  bool
	uid, gid int
	any      bool // whoever it is
}

// Named is for files that a person names on the command line: the superuser is given
// them by whom they belong to.
func Named() Owner { return Owner{any: os.Geteuid() == 0} }

// OwnerOf tells whose a directory is.
func OwnerOf(fi fs.FileInfo) Owner {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return Owner{}
	}
	return Owner{foreign: os.Geteuid() == 0 && st.Uid != 0, uid: int(st.Uid), gid: int(st.Gid)}
}

// Give makes an open file the owner's.
func (o Owner) Give(f *os.File) error {
	if !o.foreign {
		return nil
	}
	return f.Chown(o.uid, o.gid)
}

// Check refuses an open file that is not fit for its use with an *Error. It has to
// be the owner's, this user's or the superuser's.
func (o Owner) Check(f *os.File, fi fs.FileInfo, path string, use Use) error {
	perm := fi.Mode().Perm()
	e := &Error{Path: path, Mode: perm.String(), Mend: "chmod 600 " + quote(path)}
	if uid, ok := o.foreigner(fi); ok {
		e.Why, e.Mend = whyForeign, fmt.Sprintf("sudo chown %d %s", o.wanted(), quote(path))
		e.Mode = "user " + uid
		return e
	}
	if perm&0o070 != 0 && onlyMask(f, os.Geteuid()) {
		perm &^= 0o070
	}
	switch {
	case use == Secret && perm&0o044 != 0:
		e.Why = whyRead
	case use == Secret && perm&0o033 != 0, perm&0o022 != 0:
		e.Why = whyChange
	default:
		return nil
	}
	return e
}

// CheckDir refuses a directory in which others can replace files. They may list it:
// the files are 0600.
func CheckDir(path string, fi fs.FileInfo) error {
	perm := fi.Mode().Perm()
	e := &Error{Path: path, Mode: perm.String()}
	// The superuser may work for another user, whose directory it is then.
	if uid, ok := Named().foreigner(fi); ok {
		e.Mode, e.Why, e.Mend = "user "+uid, whyForeign, fmt.Sprintf("sudo chown -R %d %s", os.Geteuid(), quote(path))
		return e
	}
	if perm&0o022 != 0 {
		e.Why, e.Mend = whyChange, "chmod 700 "+quote(path)
		return e
	}
	return nil
}

// CheckClosed refuses a directory that anybody but this user can enter, or that is
// none: a link to one is not taken.
func CheckClosed(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	e := &Error{Path: path, Mode: fi.Mode().String(), Mend: "rm -r " + quote(path)}
	uid, foreign := (Owner{}).foreigner(fi)
	switch {
	case !fi.IsDir():
		e.Why = "is not a directory"
	case foreign || uid != strconv.Itoa(os.Geteuid()):
		e.Why = whyForeign
	case fi.Mode().Perm()&0o077 != 0:
		e.Why, e.Mend = "can be entered by other users", "chmod 700 "+quote(path)
	default:
		return nil
	}
	return e
}

// foreigner tells whose a file is, and whether that is somebody who must not have it.
func (o Owner) foreigner(fi fs.FileInfo) (uid string, foreign bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown", true
	}
	own := o.any || st.Uid == 0 || int64(st.Uid) == int64(os.Geteuid()) || o.foreign && int64(st.Uid) == int64(o.uid)
	return strconv.FormatUint(uint64(st.Uid), 10), !own
}

// wanted is the user whose the files should be.
func (o Owner) wanted() int {
	if o.foreign {
		return o.uid
	}
	return os.Geteuid()
}

// Mkdir makes a directory, 0700.
func Mkdir(path string) error { return os.Mkdir(path, 0o700) }

func openFile(path string, flag int) (*os.File, error) { return os.OpenFile(path, flag, 0o600) }
