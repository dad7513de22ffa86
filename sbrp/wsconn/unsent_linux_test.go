package wsconn

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A socket of this package's client side has the bound, unless BBR drives it. Pipes are left alone.
func TestUnsentIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for control, want := range map[string]int{"reno": maxUnsent, "cubic": maxUnsent, "bbr": 0} {
		t.Run(control, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			raw, err := conn.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			err = raw.Control(func(fd uintptr) {
				if err := unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control); err != nil {
					t.Logf("this kernel does not let us choose %s: %v", control, err)
					got = want
					return
				}
				newOutlet(conn, true, 0)
				if got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); err != nil {
					t.Error(err)
				}
			})
			if err != nil || got != want {
				t.Errorf("got %d, %v; want %d", got, err, want)
			}
		})
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	boundUnsent(a)
}
