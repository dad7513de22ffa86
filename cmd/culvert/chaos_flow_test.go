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

// traffic is a flow each way through one client, and what both ends of each said.
type traffic struct {
	l        *lab
	up, down *flow
	ends     chan error     // one of each of the four ends
	heard    int            // how many of ends have been read
	locals   sync.WaitGroup // the local programs
}

// newTraffic makes the targets for a flow of size bytes each way. The flows begin with start.
func newTraffic(l *lab, size int64) (tr *traffic, sink, source string) {
	tr = &traffic{l: l, up: newFlow(1, size), down: newFlow(2, size), ends: make(chan error, 4)}
	serve := func(who string, end func(*net.TCPConn) error) (addr string) {
		return l.serve(func(c *net.TCPConn) {
			if greeted(c) {
				tr.ended(who, end(c))
			}
		})
	}
	sink, source = serve("target of the upload", tr.up.sink), serve("target of the download", tr.down.source)
	l.t.Cleanup(func() {
		tr.allow(size) // when the test has failed: nobody waits for it any more
		tr.locals.Wait()
	})
	return tr, sink, source
}

func (tr *traffic) ended(who string, err error) {
	if err != nil {
		err = fmt.Errorf("%s: %w", who, err)
	}
	tr.ends <- err
}

// start opens the local connections; bytes flow as far as allow lets them.
func (tr *traffic) start(sink, source string) {
	tr.l.t.Helper()
	up, down := tr.l.dial(sink), tr.l.dial(source)
	tr.locals.Go(func() { tr.ended("local program that uploads", tr.up.upload(up)) })
	tr.locals.Go(func() { tr.ended("local program that downloads", tr.down.download(down)) })
}

func (tr *traffic) allow(offset int64) {
	tr.up.allow(offset)
	tr.down.allow(offset)
}

func (tr *traffic) expect(mark time.Time) {
	tr.up.expect(mark)
	tr.down.expect(mark)
}

// reach waits until both flows have come so far.
func (tr *traffic) reach(offset int64, within time.Duration) {
	tr.l.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for name, f := range map[string]*flow{"upload": tr.up, "download": tr.down} {
		if !f.so(timer.C, func() bool { return f.received >= offset }) {
			n, at := f.arrived()
			tr.check()
			tr.l.t.Fatalf("%s: %d bytes have not arrived within %v, but %d, %v ago", name, offset, within, n, time.Since(at))
		}
	}
}

// rest waits until nothing has arrived for a moment: what was on its way has arrived or
// is lost.
func (tr *traffic) rest(moment time.Duration) {
	for _, f := range []*flow{tr.up, tr.down} {
		for {
			timer := time.NewTimer(moment)
			before, _ := f.arrived()
			moved := f.so(timer.C, func() bool { return f.received > before })
			timer.Stop()
			if !moved {
				break
			}
		}
	}
}

// resumed waits until something has arrived on both since expect, and tells how long the
// slower one took.
func (tr *traffic) resumed(within time.Duration) time.Duration {
	tr.l.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	var slowest time.Duration
	for _, f := range []*flow{tr.up, tr.down} {
		var first time.Time
		if !f.so(timer.C, func() bool { first = f.first; return !first.IsZero() }) {
			tr.check()
			tr.l.t.Fatalf("no byte flows within %v", within)
		}
		slowest = max(slowest, first.Sub(f.mark))
	}
	return slowest
}

// check fails the test if one of the four ends has said an error so far.
func (tr *traffic) check() {
	tr.l.t.Helper()
	for range len(tr.ends) {
		tr.heard++
		if err := <-tr.ends; err != nil {
			tr.l.t.Errorf("%v", err)
		}
	}
}

// finish waits for all four ends, which must have no error.
func (tr *traffic) finish(within time.Duration) {
	tr.l.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for ; tr.heard < cap(tr.ends); tr.heard++ {
		select {
		case err := <-tr.ends:
			if err != nil {
				tr.l.t.Errorf("%v", err)
			}
		case <-timer.C:
			up, _ := tr.up.arrived()
			down, _ := tr.down.arrived()
			tr.l.t.Fatalf("the transfer has not ended within %v: %d of 4 ends have, up %d, down %d of %d", within, tr.heard, up, down, tr.up.size)
		}
	}
}
