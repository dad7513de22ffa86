//go:build unix

package tunnel

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socketLender returns a lender for a socket, nil for anything else.
func socketLender(src io.Reader) lender {
	rc := rawSocket(src)
	if rc == nil {
		return nil
	}
	l := &rawLender{rc: rc}
	l.attempt = l.try
	return l
}

// rawSocket returns the descriptor of a socket of package net, which never
// blocks; nil for anything else, above all files: standard input does block, and
// a call that the runtime is not told of would hold up everything.
func rawSocket(c any) syscall.RawConn {
	conn, ok := c.(net.Conn)
	if !ok {
		return nil
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil // closed: reading and writing say so
	}
	return rc
}

// rawLender reads from a socket by itself, and waits for it without a buffer
// when there is nothing.
type rawLender struct {
	rc      syscall.RawConn
	attempt func(fd uintptr) bool // try, made once

	buf *[bigBuffer]byte
	n   int
	err error
}

func (l *rawLender) read(func(p []byte) int) (*[bigBuffer]byte, int, error) {
	l.buf, l.n, l.err = nil, 0, nil
	if err := l.rc.Read(l.attempt); err != nil {
		return nil, 0, err
	}
	return l.buf, l.n, l.err
}

// try reads once; false means that there is nothing yet.
func (l *rawLender) try(fd uintptr) bool {
	buf := bigBuffers.Get().(*[bigBuffer]byte)
	for {
		n, err := readNow(fd, buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			bigBuffers.Put(buf)
			return false
		case err != nil:
			bigBuffers.Put(buf)
			l.err = os.NewSyscallError("read", err)
		case n == 0:
			bigBuffers.Put(buf)
			l.err = io.EOF
		default:
			l.buf, l.n = buf, n
		}
		return true
	}
}

// rawWriter writes to a socket by itself.
type rawWriter struct {
	rc      syscall.RawConn
	attempt func(fd uintptr) bool // try, made once

	p    []byte
	n    int
	once bool // do not wait
	err  error
}

// socketWriter returns a faster writer to the same socket, or dst itself.
func socketWriter(dst io.Writer) io.Writer {
	rc := rawSocket(dst)
	if rc == nil {
		return dst
	}
	w := &rawWriter{rc: rc}
	w.attempt = w.try
	return w
}

// Write blocks until all of p is written.
func (w *rawWriter) Write(p []byte) (int, error) {
	w.p, w.n, w.err = p, 0, nil
	err := w.rc.Write(w.attempt)
	w.p = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// tryWrite writes what the socket takes at once. An error is the next Write's.
func (w *rawWriter) tryWrite(p []byte) int {
	w.p, w.n, w.err, w.once = p, 0, nil, true
	_ = w.rc.Write(w.attempt)
	w.p, w.once = nil, false
	return w.n
}

// try writes what the socket takes; false means that there is more to wait for.
func (w *rawWriter) try(fd uintptr) bool {
	for w.n < len(w.p) {
		n, err := writeNow(fd, w.p[w.n:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return w.once
		case err != nil:
			w.err = os.NewSyscallError("write", err)
			return true
		default:
			w.n += n
		}
	}
	return true
}
