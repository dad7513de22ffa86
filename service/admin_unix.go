//go:build unix

package service

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// checkPeer refuses a connection of a user who may not ask.
func checkPeer(c *net.UnixConn) error {
	uid, err := peerUID(c)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	return mayAsk(uid)
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
