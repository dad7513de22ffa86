package tunnel

import (
	"net"
	"syscall"
)

// unixListenConfig gives the socket its mode before it has a name, so that
// there is no moment at which others could connect.
func unixListenConfig() *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); cerr != nil {
			return cerr
		}
		return err
	}}
}
