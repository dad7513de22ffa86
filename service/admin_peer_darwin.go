package service

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerUID asks the kernel whose process is at the other end.
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("ask for the peer's user: %w", err)
	}
	var cred *unix.Xucred
	var ask error
	err = raw.Control(func(fd uintptr) { cred, ask = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED) })
	if err := errors.Join(err, ask); err != nil {
		return 0, fmt.Errorf("ask for the peer's user: %w", err)
	}
	return cred.Uid, nil
}
