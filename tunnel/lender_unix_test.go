//go:build unix

package tunnel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// bothEnds is a TCP connection's two ends.
func bothEnds(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// TestRawWriterAndLender sends more than any socket's buffer through both.
func TestRawWriterAndLender(t *testing.T) {
	a, b := bothEnds(t)
	data := make([]byte, 24<<20)
	for i := 0; i < len(data); i += 8 {
		copy(data[i:], bytes.Repeat([]byte{byte(rand.Uint32())}, 8))
	}
	w := socketWriter(tcpSocket{a})
	begun := w.(tryWriter).tryWrite(data) // nobody reads yet
	if begun == 0 || begun == len(data) {
		t.Fatalf("%d bytes of %d written without waiting", begun, len(data))
	}
	wrote := make(chan error, 1)
	go func() {
		n, err := w.Write(data[begun:])
		if err == nil && begun+n != len(data) {
			err = io.ErrShortWrite
		}
		wrote <- errors.Join(err, a.CloseWrite())
	}()
	l, sum, total := lenderOf(tcpSocket{b}), sha256.New(), 0
	for {
		buf, n, err := l.read(nil)
		if n > 0 {
			sum.Write(buf[:n])
			total += n
			bigBuffers.Put(buf)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(data); total != len(data) || [32]byte(sum.Sum(nil)) != want {
		t.Errorf("%d bytes of %d came, or other ones", total, len(data))
	}
}

// TestRawErrors: what ends a socket ends reading and writing with what net.Conn would say.
func TestRawErrors(t *testing.T) {
	a, b := bothEnds(t)
	_ = b.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, _, err := lenderOf(tcpSocket{b}).read(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read with a deadline: %v", err)
	}
	_ = b.SetReadDeadline(time.Time{})
	l, w := lenderOf(tcpSocket{b}), socketWriter(tcpSocket{b})
	_ = tcpSocket{a}.Reset()
	if buf, n, err := l.read(nil); err == nil || err == io.EOF || n != 0 || buf != nil {
		t.Errorf("read of a reset socket: %d, %v", n, err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("write to a reset socket succeeds")
	}
	_ = b.Close()
	if _, _, err := l.read(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of a closed socket: %v", err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed socket: %v", err)
	}
}

// TestRawIsForSocketsOnly: a file may block, as standard input does.
func TestRawIsForSocketsOnly(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if lenderOf(r) != nil || socketWriter(w) != io.Writer(w) {
		t.Error("a pipe is read or written by calls that the runtime is not told of")
	}
}
