package wsconn

import "golang.org/x/sys/unix"

func setUnsentBound(fd int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
}
