package endpoint

import (
	"sync"

	"culvert/sbrp"
)

// Sizes of pooled buffers. A frame is copied into the smallest that holds it, up
// to copyMax; a larger one keeps the buffer it was read into. So a queue of many
// small frames does not hold 64 KiB for each, and bulk is never copied.
const (
	copyMax    = 32 << 10
	readBuffer = sbrp.MaxFrame + 1 // one more than the longest frame: shows what is too long
)

var pools = [...]struct {
	size int
	pool sync.Pool
}{{size: 512}, {size: 2 << 10}, {size: 8 << 10}, {size: copyMax}, {size: readBuffer}}

// buffer is a pooled buffer with one owner at a time.
type buffer struct {
	b     []byte
	class int
}

// newBuffer returns a buffer of at least n bytes, n being at most readBuffer.
func newBuffer(n int) *buffer {
	for c := range pools {
		if n > pools[c].size {
			continue
		}
		if b, ok := pools[c].pool.Get().(*buffer); ok {
			return b
		}
		return &buffer{b: make([]byte, pools[c].size), class: c}
	}
	panic("endpoint: buffer beyond the longest frame")
}

// release gives the buffer back; the caller must not touch it again.
func (b *buffer) release() { pools[b.class].pool.Put(b) }

// parcel is a frame in a pooled buffer.
type parcel struct {
	buf *buffer
	n   int // length of the frame
}

// pack makes a parcel of the frame in read.b[:n]. It returns the buffer to read
// the next one into: the same, unless the parcel keeps it.
func pack(read *buffer, n int) (parcel, *buffer) {
	if n > copyMax {
		return parcel{read, n}, newBuffer(readBuffer)
	}
	b := newBuffer(n)
	copy(b.b, read.b[:n])
	return parcel{b, n}, read
}

func (p parcel) payload() []byte { return p.buf.b[sbrp.HeaderSize:p.n] }
func (p parcel) held() int       { return len(p.buf.b) }
func (p parcel) release()        { p.buf.release() }

// queue holds the frames of one session that wait for its Receive. It is bounded
// in bytes of frames (queueBytes) and in frames (queueFrames): push refuses what
// is above, and the session is then ended, because the link above never lets an
// honest client have that much on the way. The memory that buffers hold beyond
// their frames is counted by the daemon, against the budget of all its sessions.
// One consumer, any producers.
type queue struct {
	mu    sync.Mutex
	some  sync.Cond
	items []parcel // items[head:] are queued
	head  int
	bytes int // of the frames
	mem   int // of their buffers
	over  bool
}

func newQueue() *queue {
	q := &queue{}
	q.some.L = &q.mu
	return q
}

// push adds p. It returns false if there is no room, and the queue is as before;
// a closed queue swallows what comes.
func (q *queue) push(p parcel) (taken, room bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return false, true
	}
	if q.bytes+p.n > queueBytes || len(q.items)-q.head >= queueFrames {
		return false, false
	}
	if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, p)
	q.bytes += p.n
	q.mem += p.held()
	q.some.Signal()
	return true, true
}

// pop takes the oldest frame, and waits for one. It returns false when the queue
// is closed and empty.
func (q *queue) pop() (parcel, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.items) {
		if q.over {
			return parcel{}, false
		}
		q.some.Wait()
	}
	p := q.items[q.head]
	q.items[q.head] = parcel{}
	q.head++
	q.bytes -= p.n
	q.mem -= p.held()
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 1024 {
			q.items = nil // a burst is over
		}
	}
	return p, true
}

// close lets the consumer have what is queued and then the end.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.some.Broadcast()
}

// discard closes the queue and drops what is in it; it returns the memory
// freed.
func (q *queue) discard() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	freed := q.mem
	for _, p := range q.items[q.head:] {
		p.release()
	}
	q.items, q.head, q.bytes, q.mem = nil, 0, 0, 0
	q.some.Broadcast()
	return freed
}

// held returns the memory that the queued frames hold, in bytes.
func (q *queue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mem
}
