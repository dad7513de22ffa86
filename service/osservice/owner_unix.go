//go:build linux || darwin

package osservice

import (
	"os"
	"os/user"
	"strconv"
)

// giveAway makes a file that the superuser has made the service's.
func (s Spec) giveAway(path string) error {
	if s.User {
		return nil
	}
	u, err := user.Lookup(s.RunAs)
	if err != nil {
		return failure("user", "", "%w", err)
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers, on Unix
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Lchown(path, uid, gid); err != nil {
		return denied("give "+path+" to "+s.RunAs, err)
	}
	return nil
}
