//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// flow is one stream of pseudo-random bytes in one direction. The receiver makes the same
// bytes itself and compares, so that a wrong one is found where it is. Its methods may be
// called concurrently.
type flow struct {
	seed [32]byte
	size int64

	mu       sync.Mutex // guards what follows
	allowed  int64      // how much the sender may send by now
	received int64
	last     time.Time     // when something was received last
	mark     time.Time     // see expect
	first    time.Time     // when something was received first since mark
	changed  chan struct{} // closed when allowed or received changes
}

// newFlow is a stream of so many bytes, of which none may be sent yet.
func newFlow(seed byte, size int64) *flow {
	return &flow{seed: [32]byte{seed}, size: size, changed: make(chan struct{})}
}

func (f *flow) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
	close(f.changed)
	f.changed = make(chan struct{})
}

// allow lets the sender send up to this offset.
func (f *flow) allow(offset int64) {
	f.change(func() { f.allowed = max(f.allowed, min(offset, f.size)) })
}

// so waits until the flow is so; false when the time is over before.
func (f *flow) so(timer <-chan time.Time, is func() bool) bool {
	for {
		f.mu.Lock()
		yes, changed := is(), f.changed
		f.mu.Unlock()
		if yes {
			return true
		}
		select {
		case <-changed:
		case <-timer:
			return false
		}
	}
}

// arrive notes that the stream has come up to here. mu is held.
func (f *flow) arrive(at int64) {
	f.received, f.last = at, time.Now()
	if f.first.IsZero() && f.last.After(f.mark) {
		f.first = f.last
	}
}

// expect begins to look for the first byte that comes after this moment.
func (f *flow) expect(mark time.Time) {
	f.change(func() { f.mark, f.first = mark, time.Time{} })
}

// arrived tells how much has come, and when the last of it.
func (f *flow) arrived() (int64, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received, f.last
}

const flowPiece = 256 << 10

// send sends the stream and half-closes.
func (f *flow) send(c *net.TCPConn) error {
	from := rand.NewChaCha8(f.seed)
	piece := make([]byte, flowPiece)
	for sent := int64(0); sent < f.size; {
		var n int64
		f.so(nil, func() bool { n = min(f.allowed-sent, flowPiece); return n > 0 })
		_, _ = from.Read(piece[:n]) // never fails
		if _, err := c.Write(piece[:n]); err != nil {
			return fmt.Errorf("send at %d: %w", sent, err)
		}
		sent += n
	}
	return c.CloseWrite()
}

// receive takes the stream up to its end and compares it.
func (f *flow) receive(c *net.TCPConn) error {
	want := rand.NewChaCha8(f.seed)
	piece, wanted := make([]byte, flowPiece), make([]byte, flowPiece)
	var at int64
	for {
		n, err := c.Read(piece)
		_, _ = want.Read(wanted[:n])
		if !bytes.Equal(piece[:n], wanted[:n]) {
			return fmt.Errorf("another byte than was sent between %d and %d", at, at+int64(n))
		}
		at += int64(n)
		if n > 0 {
			f.change(func() { f.arrive(at) })
		}
		switch {
		case errors.Is(err, io.EOF) && at == f.size:
			return nil
		case err != nil:
			return fmt.Errorf("receive at %d of %d: %w", at, f.size, err)
		}
	}
}

// hello is what a local program says first. A connection without it is culvert's own
// question whether the target is there.
var hello = []byte("!")

func greeted(c *net.TCPConn) bool {
	n, err := c.Read(make([]byte, 1))
	return n == 1 && err == nil
}

// download is what the local program does with a flow from the target.
func (f *flow) download(c *net.TCPConn) error {
	if _, err := c.Write(hello); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	return errors.Join(f.receive(c), c.Close())
}

// upload is what the local program does with a flow to the target: it sends it and hears
// that all of it has come.
func (f *flow) upload(c *net.TCPConn) error {
	if _, err := c.Write(hello); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	if err := f.send(c); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("read the target's answer: %w", err)
	}
	if len(answer) != 8 || binary.BigEndian.Uint64(answer) != uint64(f.size) {
		return fmt.Errorf("the target answers %x, want the size %d", answer, f.size)
	}
	return nil
}

// source is the target's end of a download.
func (f *flow) source(c *net.TCPConn) error {
	if err := f.send(c); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
		return fmt.Errorf("the client says %d bytes and ends with %w", n, err)
	}
	return nil
}

// sink is the target's end of an upload.
func (f *flow) sink(c *net.TCPConn) error {
	if err := f.receive(c); err != nil {
		return err
	}
	_, err := c.Write(binary.BigEndian.AppendUint64(nil, uint64(f.size)))
	return err
}
