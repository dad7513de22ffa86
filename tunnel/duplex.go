package tunnel

import (
	"net"
)

// duplex is a connection whose directions end separately and which can be
// reset: a *mux.Stream, a *Conn, or a socket.
type duplex interface {
	net.Conn
	CloseWrite() error
	// Reset ends both directions at once so that the other end sees an error
	// and not an end of data. It unblocks Read and Write.
	Reset() error
}

// halfCloser is a connection that can end its writing direction alone.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// asDuplex makes a duplex of any connection.
func asDuplex(c net.Conn) duplex {
	switch c := c.(type) {
	case duplex:
		return c
	case *net.TCPConn:
		return tcpSocket{c}
	case halfCloser:
		return halfSocket{c}
	default:
		return wholeSocket{c}
	}
}

// tcpSocket resets by closing with nothing left to linger: the kernel sends
// RST instead of FIN.
type tcpSocket struct{ *net.TCPConn }

func (s tcpSocket) Reset() error {
	_ = s.SetLinger(0) // fails on a closed socket only
	return s.Close()
}

// halfSocket can end one direction but has no reset, as Unix sockets: Close is
// the hardest end there is (with data unread, Linux makes it a reset).
type halfSocket struct{ halfCloser }

func (s halfSocket) Reset() error { return s.Close() }

// wholeSocket cannot end one direction alone: an end of data ends all of it.
type wholeSocket struct{ net.Conn }

func (s wholeSocket) CloseWrite() error { return s.Close() }
func (s wholeSocket) Reset() error      { return s.Close() }
