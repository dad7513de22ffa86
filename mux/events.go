package mux

import (
	"sync"
	"time"
)

// EventKind says what happened to a link.
type EventKind uint8

// The kinds of events. A link's life is connected, (held, resumed)*, then lost or closed.
const (
	EventConnected EventKind = iota + 1 // a new link is up
	EventHeld                           // the path is gone; streams are kept and wait
	EventResumed                        // the path is back, no byte is lost
	EventLost                           // the link ended against our will; its streams were reset
	EventClosed                         // the link was ended on purpose, by this side or the peer
)

func (k EventKind) String() string {
	switch k {
	case EventConnected:
		return "connected"
	case EventHeld:
		return "held"
	case EventResumed:
		return "resumed"
	case EventLost:
		return "lost"
	case EventClosed:
		return "closed"
	default:
		return "unknown"
	}
}

// Event is something that happened to a link. Events are delivered one at a time, in order, outside all locks; the
// callback may call back but delays the link's progress while it runs.
type Event struct {
	Kind    EventKind
	Time    time.Time
	Link    LinkID
	Peer    Peer          // the other end
	Reason  error         // why it was held, lost or closed
	Streams int           // streams open at that moment
	After   time.Duration // resumed: how long it was held
	Kept    int           // resumed: streams that live on
	Lost    int           // lost, closed: streams that were reset
}

// eventQueue delivers events in order and outside the locks of those who raise them.
type eventQueue struct {
	deliver func(Event) // nil: nobody listens

	mu      sync.Mutex // guards what follows
	waiting []Event
	busy    bool // somebody is delivering and will take what is appended
}

// push puts an event in order; it may be called under a lock. The caller calls flush when it holds none.
func (q *eventQueue) push(e Event) {
	if q.deliver == nil {
		return
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, e)
	q.mu.Unlock()
}

// flush delivers what waits, unless another goroutine is doing so already.
func (q *eventQueue) flush() {
	if q.deliver == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy {
		return
	}
	q.busy = true
	for len(q.waiting) > 0 {
		e := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		q.deliver(e)
		q.mu.Lock()
	}
	q.waiting = nil
	q.busy = false
}
