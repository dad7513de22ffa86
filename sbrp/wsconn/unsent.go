package wsconn

import (
	"net"
	"syscall"
)

// maxUnsent is how many bytes an endpoint's socket takes that TCP may not send yet: two frames, so that the next is there when
// the first has gone. At 10 Mbit/s a keystroke waits 100 ms behind them.
const maxUnsent = 128 << 10

// boundUnsent bounds what the system takes from us before TCP may send it. Without it megabytes lie in the socket on a slow
// path, and what is written next, a keystroke, waits behind them; and the layers above, which could have let it go
// first, believe them gone. What TCP has in flight is not bounded, so that a path is filled as before.
func boundUnsent(conn net.Conn) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return // it is closed, and says so at the first write
	}
	_ = raw.Control(func(fd uintptr) {
		_ = setUnsentBound(int(fd)) // a hint: not every socket is TCP
	})
}
