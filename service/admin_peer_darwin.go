package service

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// checkPeer asks the kernel whose process is at the other end.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("ask for the peer's user: %w", err)
	}
	var cred *unix.Xucred
	var ask error
	err = raw.Control(func(fd uintptr) { cred, ask = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED) })
	if err := errors.Join(err, ask); err != nil {
		return fmt.Errorf("ask for the peer's user: %w", err)
	}
	return mayAsk(cred.Uid)
}
