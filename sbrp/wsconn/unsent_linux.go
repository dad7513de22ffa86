package wsconn

import (
	"strings"

	"golang.org/x/sys/unix"
)

// setUnsentBound spares BBR: it takes a sender that is held back for one that has nothing to send, does not leave its start
// phase then, and floods the path (measured: a quarter of what a 200 Mbit/s path carries was sent for nothing).
func setUnsentBound(fd int) error {
	control, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil || strings.HasPrefix(control, "bbr") {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
}
