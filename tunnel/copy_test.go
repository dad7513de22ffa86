package tunnel

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tcpPair is two ends of one loopback connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return socketPair(t, ln).tcp()
}

type sockets struct{ a, b net.Conn }

func (s sockets) tcp() (a, b *net.TCPConn) { return s.a.(*net.TCPConn), s.b.(*net.TCPConn) }

func socketPair(t testing.TB, ln net.Listener) sockets {
	t.Helper()
	got := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	a, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := <-got
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	}
	return sockets{a, b}
}

// piped is program <-> (left, right piped) <-> server.
type piped struct {
	program, server *net.TCPConn
	result          chan error
}

func newPiped(t testing.TB) *piped {
	program, left := tcpPair(t)
	right, server := tcpPair(t)
	p := &piped{program: program, server: server, result: make(chan error, 1)}
	go func() {
		_, _, err := Pipe(left, right)
		p.result <- err
	}()
	return p
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

func TestPipeHalfClose(t *testing.T) {
	p := newPiped(t)
	send(t, p.program, "question")
	if err := p.program.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(p.server); err != nil || string(got) != "question" {
		t.Fatalf("server read %q, %v", got, err)
	}
	// The other direction goes on after the first has ended.
	for range 3 {
		send(t, p.server, "answer ")
	}
	if err := p.server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(p.program); err != nil || string(got) != "answer answer answer " {
		t.Fatalf("program read %q, %v", got, err)
	}
	if err := wait(t, p.result, "Pipe's end"); err != nil {
		t.Errorf("Pipe = %v, want nil", err)
	}
}

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func TestPipeReset(t *testing.T) {
	for _, fromProgram := range []bool{true, false} {
		p := newPiped(t)
		one, other := p.program, p.server
		if !fromProgram {
			one, other = other, one
		}
		send(t, one, "x")
		if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := (tcpSocket{one}).Reset(); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("reset from the program %v: the other side reads %v, want a reset", fromProgram, err)
		}
		err := wait(t, p.result, "Pipe's end")
		se, ok := errors.AsType[*SideError](err)
		if !ok || se.First != fromProgram || !isReset(err) {
			t.Errorf("reset from the program %v: Pipe = %v", fromProgram, err)
		}
	}
}

// A reset after a half-close still is one.
func TestPipeResetAfterHalfClose(t *testing.T) {
	p := newPiped(t)
	if err := p.program.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(p.server); err != nil {
		t.Fatal(err)
	}
	if err := (tcpSocket{p.server}).Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.program.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("program reads %v, want a reset", err)
	}
	if err := wait(t, p.result, "Pipe's end"); err == nil {
		t.Error("Pipe = nil, want the reset")
	}
}

// A server that answers early and closes while the program is still sending:
// the answer arrives, then the reset, and nothing hangs.
func TestPipeEarlyAnswer(t *testing.T) {
	p := newPiped(t)
	send(t, p.program, "a long upload begins")
	if _, err := io.ReadFull(p.server, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	send(t, p.server, "413 too large")
	if err := p.server.Close(); err != nil { // with data unread: a reset
		t.Fatal(err)
	}
	got := make([]byte, 13)
	if _, err := io.ReadFull(p.program, got); err != nil || string(got) != "413 too large" {
		t.Fatalf("program read %q, %v", got, err)
	}
	junk := make([]byte, 64<<10)
	for {
		if _, err := p.program.Write(junk); err != nil {
			if !isReset(err) {
				t.Errorf("program writes: %v, want a reset", err)
			}
			break
		}
	}
	if err := wait(t, p.result, "Pipe's end"); err == nil {
		t.Error("Pipe = nil, want an error")
	}
}

// Bytes of all sizes, both ways at once, are the same at the other end.
func TestPipeCarriesEverything(t *testing.T) {
	for _, size := range []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, bigBuffer, 3*bigBuffer + 17, 5 << 20} {
		p := newPiped(t)
		up, down := make([]byte, size), make([]byte, size)
		rand.Read(up) // never fails
		rand.Read(down)
		var wg sync.WaitGroup
		exchange := func(c *net.TCPConn, out, want []byte) {
			wg.Go(func() {
				_, err := c.Write(out)
				if err == nil {
					err = c.CloseWrite()
				}
				if err != nil {
					t.Errorf("size %d: %v", size, err)
				}
			})
			wg.Go(func() {
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("size %d: %d bytes, %v", size, len(got), err)
				}
			})
		}
		exchange(p.program, up, down)
		exchange(p.server, down, up)
		wg.Wait()
		if err := wait(t, p.result, "Pipe's end"); err != nil {
			t.Errorf("size %d: Pipe = %v", size, err)
		}
	}
}

func TestPipeCountsAndUnix(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	outer, inner := socketPair(t, ln), socketPair(t, ln)
	var up, down int64
	done := make(chan error, 1)
	go func() {
		var err error
		up, down, err = Pipe(outer.b, inner.a)
		done <- err
	}()
	send(t, outer.a, "12345")
	if err := outer.a.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(inner.b); err != nil || string(got) != "12345" {
		t.Fatalf("read %q, %v", got, err)
	}
	send(t, inner.b, "123")
	if err := inner.b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(outer.a); err != nil || string(got) != "123" {
		t.Fatalf("read %q, %v", got, err)
	}
	if err := wait(t, done, "Pipe's end"); err != nil || up != 5 || down != 3 {
		t.Errorf("Pipe = %d, %d, %v, want 5, 3, nil", up, down, err)
	}
}

// net.Pipe has no half-close: the end of one direction is the end of both.
func TestPipeWithoutHalfClose(t *testing.T) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	done := make(chan error, 1)
	go func() {
		_, _, err := Pipe(b, c)
		done <- err
	}()
	go func() { _, _ = io.WriteString(a, "hello") }() // read below
	got := make([]byte, 5)
	if _, err := io.ReadFull(d, got); err != nil || string(got) != "hello" {
		t.Fatalf("read %q, %v", got, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(got); err != io.EOF {
		t.Errorf("the other end reads %v, want io.EOF", err)
	}
	_ = wait(t, done, "Pipe's end")
	_ = d.Close()
}

// failingWriter fails after some writes.
type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errFailing
	}
	w.left--
	return len(p), nil
}

var errFailing = errors.New("failing")

func TestCopyBytesTellsTheSides(t *testing.T) {
	var n atomic.Int64
	if rerr, werr := copyBytes(&failingWriter{left: 3}, bytes.NewReader(make([]byte, 1<<20)), &n); rerr != nil || werr != errFailing {
		t.Errorf("a failing writer: %v, %v", rerr, werr)
	}
	// One small buffer, then big ones.
	if want := int64(smallBuffer + 2*bigBuffer); n.Load() != want {
		t.Errorf("three writes carried %d bytes, want %d", n.Load(), want)
	}
	r := io.MultiReader(bytes.NewReader(make([]byte, 10)), iotestErr{})
	if rerr, werr := copyBytes(io.Discard, r, &n); rerr != errFailing || werr != nil {
		t.Errorf("a failing reader: %v, %v", rerr, werr)
	}
	if _, werr := copyBytes(shortWriter{}, bytes.NewReader(make([]byte, 10)), &n); werr != io.ErrShortWrite {
		t.Errorf("a writer that takes less than it says: %v", werr)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errFailing }

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

func BenchmarkPipe(b *testing.B) {
	p := newPiped(b)
	for _, c := range []*net.TCPConn{p.program, p.server} {
		if err := c.SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	buf := make([]byte, 256<<10)
	b.SetBytes(int64(len(buf)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, p.server)
	}()
	for b.Loop() {
		if _, err := p.program.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = p.program.Close()
	_ = p.server.Close()
	<-done
	<-p.result
}
