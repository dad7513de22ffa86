package endpoint

import (
	"sync"

	"culvert/sbrp"
)

// letterKind tells apart what is counted.
type letterKind uint8

const (
	letterSignal letterKind = iota
	letterRefusal
	letterPing
	letterPong
)

// letter is one small frame of our own (Ping, Pong, Signal) on its way out.
type letter struct {
	n    uint8
	kind letterKind
	b    [sbrp.HeaderSize + sbrp.MaxPing]byte
	then func() // called after it was written; nil: nothing. Must not block
}

func (l *letter) frame() []byte { return l.b[:l.n] }

// outbox holds small frames for the goroutine that writes them, so that no
// reader ever waits for a writer: a relay whose both directions are full must
// not stop our reading. It is bounded; see each add method for what happens
// when it is full. Safe for concurrent use.
type outbox struct {
	limit int // of the whole queue; immutable

	mu    sync.Mutex
	queue []letter
	pings int // Pings queued, at most one
	pongs int // Pongs queued
	turns int // refusals queued
	busy  bool
	idle  chan struct{} // closed once the queue is empty and nothing is being written; nil: nobody waits

	wake chan struct{} // one slot: there is something to write
}

// newOutbox returns an outbox for an end with at most this many sessions.
func newOutbox(sessions int) *outbox {
	return &outbox{limit: outboxSignals + 4*sessions, wake: make(chan struct{}, 1)}
}

// addPing queues a Ping unless one is queued already: a second says nothing more.
func (o *outbox) addPing(opaque []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pings > 0 {
		return
	}
	o.pings++
	l := letter{kind: letterPing}
	l.n = uint8(len(sbrp.AppendPing(l.b[:0], opaque)))
	o.push(l)
}

// addPong queues the answer to a Ping. Beyond outboxLimit it is dropped, and
// false returned: the relay floods us, or does not read.
func (o *outbox) addPong(ping []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pongs >= outboxLimit {
		return false
	}
	o.pongs++
	l := letter{kind: letterPong}
	l.n = uint8(len(sbrp.AppendPong(l.b[:0], ping)))
	o.push(l)
	return true
}

// addSignal queues a Signal, and then is called once it was written. False
// means that the relay has left too much unread: give the WebSocket up.
func (o *outbox) addSignal(id sbrp.SessionID, s sbrp.Signal, r sbrp.Reason, then func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) >= o.limit {
		return false
	}
	l := letter{then: then}
	l.n = uint8(len(sbrp.AppendSignal(l.b[:0], id, s, r)))
	o.push(l)
	return true
}

// addRefusal queues Signal(close) for a session that never was here. Beyond
// outboxLimit it is dropped: its client finds out by a timeout, and a flood of
// them costs nobody else anything.
func (o *outbox) addRefusal(id sbrp.SessionID, r sbrp.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.turns >= outboxLimit {
		return
	}
	o.turns++
	l := letter{kind: letterRefusal}
	l.n = uint8(len(sbrp.AppendSignal(l.b[:0], id, sbrp.SignalClose, r)))
	o.push(l)
}

// push appends l; mu is held.
func (o *outbox) push(l letter) {
	o.queue = append(o.queue, l)
	select {
	case o.wake <- struct{}{}:
	default: // the writer has a wake-up waiting
	}
}

// next takes the oldest letter; false when there is none. The letter taken
// before counts as written.
func (o *outbox) next() (letter, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.busy = false
		o.queue = nil
		if o.idle != nil {
			close(o.idle)
			o.idle = nil
		}
		return letter{}, false
	}
	l := o.queue[0]
	o.queue[0].then = nil // let go of what it holds
	o.queue = o.queue[1:]
	o.busy = true
	switch l.kind {
	case letterPing:
		o.pings--
	case letterPong:
		o.pongs--
	case letterRefusal:
		o.turns--
	case letterSignal:
	}
	return l, true
}

// drained returns a channel that is closed when all that is queued now has
// been written. If the WebSocket is lost before, it stays open.
func (o *outbox) drained() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 && !o.busy {
		c := make(chan struct{})
		close(c)
		return c
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	return o.idle
}
