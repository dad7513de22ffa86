package mux

import (
	"container/list"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// link is a resumable byte stream in each direction. It belongs to one client and one daemon and outlives its carriers,
// of which it has one at a time or none.
//
// Who does what: one at a time (busy) composes a message just in time and sends it: the pump, or a
// writer when the link was quiet; next
// is called by one reader (yamux's receive loop) and is the only one that receives; writers reserve room, then append.
// The owner of a carrier (Serve) attaches it and watches its path. Timers run on the time package's goroutines.
//
// next never waits for a writer and append never waits at all, so that the reader can always take the peer's ACKs: no
// circle of waiting can close.
type link struct {
	// Immutable.
	id        LinkID
	peer      Peer
	log       *slog.Logger
	budget    *Budget
	events    *eventQueue
	streams   func() int // open streams, for events; safe to call under mu
	onEnd     func()     // called once, outside the locks; may be nil
	windowMin int
	hold      time.Duration
	doubtful  bool // the peer may never have heard of the link: it is connected when the first message has come

	done        chan struct{} // closed at the end, when endErr is set
	kick        chan struct{} // 1: the pump has something to look at
	poke        chan struct{} // 1: the reader shall return though nothing came
	budgetFreed chan struct{} // 1: the budget may have room
	chunks      atomic.Int32  // chunks in buf, for the budget
	heldEntry   *list.Element // guarded by budget.mu

	mu     sync.Mutex // guards what follows
	endErr *LinkError
	state  State
	since  time.Time
	moved  chan struct{} // closed when state changes

	// Sending: [buf.start, buf.end) is kept, [sent, buf.end) is still to send, buf.start is what the peer has.
	buf       sendBuffer
	sent      uint64 // next offset to send
	maxSent   uint64 // highest offset ever sent
	peerLimit uint64 // highest offset that the peer lets us send
	reserved  int    // bytes that writers have room for but have not appended yet
	small     roomQueue
	bulk      roomQueue
	sendMax   int        // the most to keep for sending again
	closing   *LinkError // set while an end waits for what was written to be acknowledged
	closingBy time.Time
	busy      bool // somebody is composing or sending a message
	sayClose  bool // the pump still has to send CLOSE
	farewell  *time.Timer

	// Receiving.
	received  uint64
	limitSent uint64 // highest limit ever told: the peer may send up to here
	ackSent   uint64 // received, as last told
	ackDue    time.Time
	window    int
	windowMax int
	tune      tuner // finds window

	// Carrier.
	att      *attachment
	attached chan struct{} // closed when att is set
	attempt  uint64        // counts attachments begun; the newest wins
	resumes  int

	// Time.
	timer     *time.Timer
	timerAt   time.Time // when it fires; zero: not armed
	holdTimer *time.Timer
	holding   bool // holdTimer runs
	heldAt    time.Time

	// Owned by the reader.
	rbuf []byte
}

// linkConfig is what a link is made of.
type linkConfig struct {
	id        LinkID
	peer      Peer
	log       *slog.Logger
	budget    *Budget
	events    *eventQueue
	windowMin int
	windowMax int
	hold      time.Duration
}

// newLink makes a link without a carrier. Nothing runs yet; streams and onEnd may still be set.
func newLink(c linkConfig) *link {
	l := &link{
		id: c.id, peer: c.peer, log: c.log.With("link", c.id.String()[:8]), budget: c.budget, events: c.events,
		windowMin: c.windowMin, window: c.windowMin, windowMax: c.windowMax, sendMax: c.windowMax, hold: c.hold,
		limitSent:   uint64(c.windowMin),
		streams:     func() int { return 0 },
		done:        make(chan struct{}),
		kick:        make(chan struct{}, 1),
		poke:        make(chan struct{}, 1),
		budgetFreed: make(chan struct{}, 1),
		attached:    make(chan struct{}),
		moved:       make(chan struct{}),
		state:       StateConnecting,
		since:       time.Now(),
	}
	l.timer = time.AfterFunc(time.Hour, l.onTimer)
	l.timer.Stop()
	l.holdTimer = time.AfterFunc(time.Hour, l.onHoldTime)
	l.holdTimer.Stop()
	return l
}

// err tells why the link has ended; nil while it lives.
func (l *link) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.endErr == nil {
		return nil
	}
	return l.endErr
}

// status is a snapshot.
func (l *link) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{
		Link: l.id, Peer: l.peer, State: l.state, Since: l.since, Sent: l.maxSent, Received: l.received,
		Buffered: int(l.buf.end - l.buf.start), Window: l.window, Streams: l.streams(), Resumes: l.resumes,
	}
	if l.att != nil {
		s.RTT, s.MinRTT = l.att.rtt, l.att.minRTT
	}
	return s
}

// currentWindow is the receiving window in bytes.
func (l *link) currentWindow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window
}

// setState notes a state's beginning. mu is held.
func (l *link) setState(s State) {
	if l.state != s {
		l.state, l.since = s, time.Now()
		close(l.moved)
		l.moved = make(chan struct{})
	}
}

// watchState gives the state and a channel that is closed when it changes.
func (l *link) watchState() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.moved
}

// fallBack ends a handshake that brought no carrier: the link is held as before.
func (l *link) fallBack() {
	l.mu.Lock()
	if l.state == StateResuming {
		l.setState(StateHeld)
	}
	l.mu.Unlock()
}

// event puts an event in the queue. mu is held; the caller flushes after it has let go.
func (l *link) event(e Event) {
	e.Time, e.Link, e.Peer = time.Now(), l.id, l.peer
	l.events.push(e)
}
