package private

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// aclAttribute is where Linux keeps a file's POSIX access list.
const aclAttribute = "system.posix_acl_access"

// onlyMask tells whether the group bits of a file's mode are but the mask of an
// access list that gives nothing to anybody but that user. It is what systemd makes
// of a credential where the file is root's.
func onlyMask(f *os.File, uid int) bool {
	var b [4 + 8*64]byte // longer lists are nothing that we would take
	n, err := unix.Fgetxattr(int(f.Fd()), aclAttribute, b[:])
	return err == nil && nobodyElse(b[:n], uid)
}

// Entries of a POSIX access list, as linux/posix_acl.h and posix_acl_xattr.h have them.
const (
	aclVersion  = 2
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

// nobodyElse decides on an access list: a version (u32), then entries of a kind (u16),
// permissions (u16) and an id (u32), little-endian.
func nobodyElse(list []byte, uid int) bool {
	if len(list) < 4 || binary.LittleEndian.Uint32(list) != aclVersion || len(list[4:])%8 != 0 {
		return false
	}
	masked := false
	for e := list[4:]; len(e) > 0; e = e[8:] {
		kind, perm, id := binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[2:]), binary.LittleEndian.Uint32(e[4:])
		switch kind {
		case aclUserObj, aclOther: // the mode's own bits say these
		case aclMask:
			masked = true
		case aclUser:
			if perm != 0 && int64(id) != int64(uid) && id != 0 {
				return false
			}
		case aclGroupObj, aclGroup:
			if perm != 0 {
				return false
			}
		default:
			return false
		}
	}
	return masked
}
