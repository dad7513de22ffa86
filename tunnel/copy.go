package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lastBytes bounds how long the data that a failed side sent before it failed
// may still take to reach the other side.
const lastBytes = 10 * time.Second

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	bigBuffers   = sync.Pool{New: func() any { return new([bigBuffer]byte) }}
)

// Pipe copies between a and b until both directions have ended, then closes
// both. An end of data (half-close) at one side becomes one at the other while
// the other direction goes on. A reset or any other failure at one side resets
// the other. The result is nil when both directions ended with an end of data;
// a *SideError says which side failed first. Resetting or closing a or b from
// elsewhere makes Pipe return.
func Pipe(a, b net.Conn) (aToB, bToA int64, err error) {
	var up, down atomic.Int64
	err = pipe(asDuplex(a), asDuplex(b), &up, &down)
	return up.Load(), down.Load(), err
}

// counter counts bytes: an *atomic.Int64, or one that adds to several.
type counter interface{ Add(delta int64) int64 }

// bothCounters counts for a connection and for all of them.
type bothCounters struct{ one, all *atomic.Int64 }

func (c bothCounters) Add(delta int64) int64 {
	c.all.Add(delta)
	return c.one.Add(delta)
}

// SideError says which side of a Pipe failed.
type SideError struct {
	First bool // the first argument of Pipe; else the second
	Err   error
}

func (e *SideError) Error() string {
	if e.First {
		return fmt.Sprintf("first side: %v", e.Err)
	}
	return fmt.Sprintf("second side: %v", e.Err)
}

func (e *SideError) Unwrap() error { return e.Err }

// pipe is Pipe with counters that can be read while it runs.
func pipe(a, b duplex, aToB, bToA counter) error {
	p := &piping{}
	var wg sync.WaitGroup
	wg.Go(func() { p.copyOne(b, a, bToA, false) })
	p.copyOne(a, b, aToB, true)
	wg.Wait()
	if p.first == nil {
		// Both ends have been told of the end; closing cannot tell them more.
		_ = a.Close()
		_ = b.Close()
		return nil
	}
	_ = a.Reset() // again where it has been done, which does nothing
	_ = b.Reset()
	return p.first
}

// piping is one running Pipe.
type piping struct {
	once  sync.Once
	first *SideError // set once, before both copies have ended
}

func (p *piping) failed(first bool, err error) {
	p.once.Do(func() { p.first = &SideError{First: first, Err: err} })
}

// copyOne copies one direction. srcFirst tells whether src is Pipe's first
// argument.
func (p *piping) copyOne(src, dst duplex, n counter, srcFirst bool) {
	rerr, werr := copyBytes(dst, src, n)
	switch {
	case werr != nil:
		// Nobody reads there any more, and src must learn of it by a reset. Not
		// at once: what dst had sent before may still be on its way to src, as
		// when a server answers early and closes. The other direction delivers
		// that and ends soon, since dst is broken; the deadlines are for the case
		// that it does not. pipe then resets both.
		p.failed(!srcFirst, werr)
		limit := time.Now().Add(lastBytes)
		_ = src.SetWriteDeadline(limit) // a closed src has no need of it
		if err := dst.SetReadDeadline(limit); err != nil {
			_ = src.Reset() // dst is closed, so nothing more will come from it
		}
	case rerr != nil:
		// src was reset or is dead, so dst is reset; both are, to unblock the
		// other direction.
		p.failed(srcFirst, rerr)
		_ = dst.Reset()
		_ = src.Reset()
	default:
		if err := dst.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
			p.failed(!srcFirst, err)
			_ = dst.Reset()
			_ = src.Reset()
		}
	}
}

// copyBytes copies until src ends. It returns what reading and what writing
// failed with; both nil is src's end of data.
func copyBytes(dst io.Writer, src io.Reader, n counter) (rerr, werr error) {
	if l := lenderOf(src); l != nil {
		return copyLent(socketWriter(dst), l, n)
	}
	return copyBuffered(dst, src, n)
}

// copyBuffered is copyBytes for a source that must be read into a buffer. It is a
// function of its own so that its stack is not part of every idle connection's.
func copyBuffered(dst io.Writer, src io.Reader, n counter) (rerr, werr error) {
	big := false
	for {
		var full bool
		var err error
		if big {
			buf := bigBuffers.Get().(*[bigBuffer]byte)
			full, err, werr = copyWhile(dst, src, n, buf[:], smallBuffer)
			bigBuffers.Put(buf)
		} else {
			buf := smallBuffers.Get().(*[smallBuffer]byte)
			full, err, werr = copyWhile(dst, src, n, buf[:], 0)
			smallBuffers.Put(buf)
		}
		switch {
		case werr != nil:
			return nil, werr
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
		big = full
	}
}

// tryWriter is a writer that can also write only what is possible at once.
type tryWriter interface{ tryWrite(p []byte) int }

// copyLent is copyBytes for a source that needs no buffer while it waits. What
// comes then goes straight to dst, if that can be done without waiting.
func copyLent(dst io.Writer, src lender, n counter) (rerr, werr error) {
	var take func(p []byte) int
	if w, ok := dst.(tryWriter); ok {
		take = func(p []byte) int {
			w := w.tryWrite(p)
			n.Add(int64(w))
			return w
		}
	}
	for {
		buf, r, err := src.read(take)
		if r > 0 {
			werr = writeAll(dst, buf[:r], n)
		}
		if buf != nil {
			bigBuffers.Put(buf)
		}
		switch {
		case werr != nil:
			return nil, werr
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
	}
}

// copyWhile copies with one buffer until it is the wrong size: full when a read
// has filled it (and a bigger one would help), not full when a read brought at
// most low bytes. With the biggest buffer filling it is no reason to stop.
func copyWhile(dst io.Writer, src io.Reader, n counter, buf []byte, low int) (full bool, rerr, werr error) {
	for {
		r, err := src.Read(buf)
		if r > 0 {
			if werr := writeAll(dst, buf[:r], n); werr != nil {
				return false, nil, werr
			}
		}
		switch {
		case err != nil:
			return false, err, nil
		case low == 0 && r == len(buf):
			return true, nil, nil
		case low > 0 && r <= low:
			return false, nil, nil
		}
	}
}

// writeAll writes p and counts what was written.
func writeAll(dst io.Writer, p []byte, n counter) error {
	w, err := dst.Write(p)
	n.Add(int64(w))
	if err == nil && w < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
