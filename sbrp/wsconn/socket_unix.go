//go:build unix

package wsconn

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryWriter writes to a non-blocking descriptor and takes "would block" for an answer. The runtime's own Write has no such
// mode: with a deadline in the past it does not even try. It belongs to the owner of the socket.
type tryWriter struct {
	raw syscall.RawConn
	one func(fd uintptr) bool // method values, bound once: a closure for each write would be an allocation
	two func(fd uintptr) bool

	// Arguments and results of one call.
	p   []byte
	iov [2][]byte
	n   int
	err error
}

// descriptor returns the socket of the system under conn; nil if there is none (a pipe in memory).
func descriptor(conn net.Conn) syscall.RawConn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// newTryWriter returns nil where conn is not a socket of the system.
func newTryWriter(conn net.Conn) *tryWriter {
	raw := descriptor(conn)
	if raw == nil {
		return nil
	}
	t := &tryWriter{raw: raw}
	t.one, t.two = t.writeOne, t.writeBoth
	return t
}

// write writes as much of p as the system takes now.
func (t *tryWriter) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t.p, t.n, t.err = p, 0, nil
	err := t.raw.Write(t.one)
	t.p = nil
	return t.result(err)
}

// writeTwo writes as much of a, then b, as the system takes now, in one call.
func (t *tryWriter) writeTwo(a, b []byte) (int, error) {
	t.iov, t.n, t.err = [2][]byte{a, b}, 0, nil
	err := t.raw.Write(t.two)
	t.iov = [2][]byte{}
	return t.result(err)
}

func (t *tryWriter) result(err error) (int, error) {
	if err == nil {
		err = t.err
	}
	return t.n, err
}

// writeOne always answers true: the runtime is not to wait until the descriptor is writable.
func (t *tryWriter) writeOne(fd uintptr) bool {
	t.settle(func() (int, error) { return writeNow(fd, t.p) })
	return true
}

func (t *tryWriter) writeBoth(fd uintptr) bool {
	t.settle(func() (int, error) { return writeBothNow(fd, &t.iov) })
	return true
}

// settle calls write until it was not interrupted, and notes the outcome.
func (t *tryWriter) settle(write func() (int, error)) {
	for {
		n, err := write()
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return
		case err != nil:
			t.err = err
		case n <= 0:
			t.err = io.ErrUnexpectedEOF
		default:
			t.n = n
		}
		return
	}
}

// rawReader reads from a socket by system calls of its own. It belongs to whoever reads.
type rawReader struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // attempt, bound once

	// Argument and results of one call.
	p   []byte
	n   int
	err error
}

// newRawReader returns nil where conn is not a socket of the system.
func newRawReader(conn net.Conn) *rawReader {
	raw := descriptor(conn)
	if raw == nil {
		return nil
	}
	r := &rawReader{raw: raw}
	r.try = r.attempt
	return r
}

// read is net.Conn's Read: it waits until there is something, or the deadline has come.
func (r *rawReader) read(p []byte) (int, error) {
	r.p, r.n, r.err = p, 0, nil
	err := r.raw.Read(r.try)
	r.p = nil
	if err == nil {
		err = r.err
	}
	return r.n, err
}

func (r *rawReader) attempt(fd uintptr) bool {
	for {
		n, err := readNow(fd, r.p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil:
			r.err = os.NewSyscallError("read", err)
		case n == 0 && len(r.p) > 0:
			r.err = io.EOF
		default:
			r.n = n
		}
		return true
	}
}
