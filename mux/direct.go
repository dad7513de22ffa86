package mux

import (
	"encoding/binary"
	"sync"
)

// A taker is given what comes for a stream, in the goroutine that reads the link, and returns how much of it it has
// taken. It must not block: all streams of the link wait for it. p is only good until it returns.
type taker = func(p []byte) int

// direct is the short way from the link to a stream's reader, past yamux's buffer and without a second goroutine: it is
// open while the reader waits and nothing that came before is waiting for it.
type direct struct {
	mu      sync.Mutex // held while take runs
	take    taker
	waiting int // bytes that yamux was given and Read has not returned
}

// open lets what comes from now on go to take; nil is nobody. The one before is not called any more when it has returned.
func (d *direct) open(take taker) {
	d.mu.Lock()
	d.take = take
	d.mu.Unlock()
}

// offer gives the body of a frame to the taker; it notes that yamux is given what is left.
func (d *direct) offer(p []byte) (taken int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.take != nil && d.waiting == 0 {
		taken = d.take(p)
	}
	d.waiting += len(p) - taken
	return taken
}

// read notes that Read has returned n bytes.
func (d *direct) read(n int) {
	d.mu.Lock()
	d.waiting -= n
	d.mu.Unlock()
}

// deliver offers the body of the frame that has just become complete to its stream's reader. What is taken yamux never
// sees: the frame is made shorter, or goes no further.
func (f *framer) deliver() {
	s := f.to
	f.to = nil
	if s == nil {
		return
	}
	n := s.direct.offer(f.body)
	if n == 0 {
		return
	}
	f.taken(s, n)
	f.drop(n)
	binary.BigEndian.PutUint32(f.hdr[8:], uint32(len(f.body)))
	if len(f.body) == 0 && binary.BigEndian.Uint16(f.hdr[2:]) == 0 {
		f.out = nil
	}
}

// drop takes n bytes from the front of the body.
func (f *framer) drop(n int) {
	if f.body = f.body[n:]; len(f.body) == 0 && f.part != nil {
		f.part.put()
		f.part = nil
	}
}

// taken notes n bytes that a stream's reader has got past yamux. They used up nothing of what yamux has granted.
func (f *framer) taken(s *Stream, n int) {
	f.mu.Lock()
	s.credit.granted += uint64(n)
	f.mu.Unlock()
	f.consumed(s, n)
}
