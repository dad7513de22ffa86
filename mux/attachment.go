package mux

import (
	"errors"
	"fmt"
	"time"
)

// attachment is a carrier in use by a link. Fields without a note are guarded by the link's mu.
type attachment struct {
	carrier         Carrier       // immutable
	head, tail, max int           // immutable; max is what we send at most
	receive         int           // immutable: bytes that Receive wants
	gone            chan struct{} // closed when it is no longer the link's carrier; err is set before

	err     error // why it is gone
	up      bool  // the path's own word
	resumes uint32
	mute    bool // it has refused a message: nothing is sent any more
	proven  bool // a message has come since the path was last called up: it truly is

	// What the pump shall say.
	wantAck      bool
	wantSync     bool // when syncAt has come
	wantProbe    bool
	wantProbeAck bool
	probeAck     uint64 // nonce to answer

	// Synchronisation. Epochs tell a new SYNC from one that was duplicated or came late.
	epochOut, epochIn uint32
	gapAt             uint64    // offset of data that came too early; 0: none
	syncAt            time.Time // when SYNC for a gap may go at the earliest

	// Liveness and round trips.
	lastReceive  time.Time
	waitingSince time.Time // something has waited for an answer since then; zero: nothing waits
	tailAt       time.Time // when to ask what has arrived; zero: nothing is unacknowledged
	tails        int       // how often that was asked without progress
	probing      bool      // a PROBE is unanswered
	nonce        uint64
	probes       int // sent
	probeAt      time.Time
	rtt, minRTT  time.Duration
}

// ErrPathDown is the reason of a link that is held because its carrier says that its path is down.
var ErrPathDown = errors.New("the carrier's path is down")

// begin makes way for a new carrier: the current one is no longer used, nothing is received any more. It returns what to
// tell the peer and the number under which attach will take the new carrier, unless a newer one has begun meanwhile.
func (l *link) begin() (attempt, received, limit uint64, err error) {
	l.mu.Lock()
	if l.endErr != nil {
		defer l.mu.Unlock()
		return 0, 0, 0, l.endErr
	}
	old := l.detachLocked(ErrReplaced)
	l.attempt++
	l.tellLimit()
	l.ackSent = l.received
	if l.state == StateHeld {
		l.setState(StateResuming)
	}
	attempt, received, limit = l.attempt, l.received, l.limitSent
	l.mu.Unlock()
	l.closeGone(old)
	return attempt, received, limit, nil
}

// accepts tells whether the link can go on for a peer that has received so much.
func (l *link) accepts(received uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checkReceived(received)
}

func (l *link) checkReceived(received uint64) error {
	if received < l.buf.start || received > l.maxSent {
		return protocolError("peer has received up to %d, which is not within %d and %d", received, l.buf.start, l.maxSent)
	}
	return nil
}

// attach puts a carrier into use whose peer has received so much and lets us send up to limit.
func (l *link) attach(attempt uint64, c Carrier, received, limit uint64) (*attachment, error) {
	l.mu.Lock()
	defer l.events.flush()
	defer l.mu.Unlock()
	if l.endErr != nil {
		return nil, l.endErr
	}
	if l.attempt != attempt {
		return nil, ErrReplaced
	}
	if err := l.checkReceived(received); err != nil {
		return nil, err
	}
	l.acknowledge(received)
	l.sent = received
	l.peerLimit = max(l.peerLimit, limit)
	now := time.Now()
	att := &attachment{carrier: c, gone: make(chan struct{}), lastReceive: now, wantProbe: true, wantAck: true}
	att.head, att.tail, att.max = c.Overhead()
	att.receive = att.head + att.max + att.tail
	att.max = min(att.max, maxMessage)
	att.up, att.resumes, _ = c.Path()
	l.att = att
	l.tune.restart()
	if l.state != StateConnecting || !l.doubtful {
		l.live()
	}
	if !att.up {
		l.held(ErrPathDown)
	}
	l.startWaiting()
	l.arm(now.Add(idleProbe))
	close(l.attached)
	l.wakeWriters()
	signal(l.kick)
	return att, nil
}

// detach ends the use of a carrier and closes it.
func (l *link) detach(att *attachment, err error) {
	l.mu.Lock()
	if l.att != att {
		l.mu.Unlock()
		return
	}
	old := l.detachLocked(err)
	closing := l.closing
	l.mu.Unlock()
	l.events.flush()
	l.closeGone(old)
	if closing != nil {
		l.end(closing, false) // the farewell cannot be told any more
	}
}

// detachLocked takes the current carrier, if any, out of use; the caller hands it to closeGone after unlocking.
func (l *link) detachLocked(err error) *attachment {
	att := l.att
	if att == nil {
		return nil
	}
	att.err = err
	l.att = nil
	l.attached = make(chan struct{})
	close(att.gone)
	if backpressure(err) {
		l.windowMax = max(l.windowMax/2, l.windowMin)
		l.window = min(l.window, l.windowMax)
	}
	if l.endErr == nil {
		l.held(err)
	}
	return att
}

func (l *link) closeGone(att *attachment) {
	if att != nil {
		_ = att.carrier.Close(fmt.Sprint(att.err)) // it is over either way
	}
}

// held notes that nothing passes any more. mu is held.
func (l *link) held(reason error) {
	if l.state == StateConnecting {
		if !l.holding {
			l.holding = true
			l.holdTimer.Reset(min(l.hold, doubtfulHold))
		}
		return
	}
	if !l.holding {
		l.holding = true
		l.holdTimer.Reset(l.hold)
	}
	fresh := l.state == StateLive
	l.setState(StateHeld)
	if fresh {
		l.heldAt = time.Now()
		l.budget.hold(l)
		l.event(Event{Kind: EventHeld, Reason: reason, Streams: l.streams()})
	}
}

// live notes that messages pass again. mu is held.
func (l *link) live() {
	switch l.state {
	case StateLive:
		return
	case StateConnecting:
		l.setState(StateLive)
		l.event(Event{Kind: EventConnected})
		return
	}
	l.setState(StateLive)
	l.resumes++
	l.budget.unhold(l)
	l.event(Event{Kind: EventResumed, After: time.Since(l.heldAt), Kept: l.streams()})
	l.wakeWriters()
}

// prove notes that a message has come: the path is up, whatever is said of it, and the peer's reader runs. mu is held.
func (l *link) prove(att *attachment) {
	if !att.up {
		return // we may not answer, so it cannot go on
	}
	att.proven = true
	if l.holding {
		l.holding = false
		l.holdTimer.Stop()
	}
	l.live()
}

// path takes a carrier's word on its path. It returns false when the carrier is no longer in use.
func (l *link) path(att *attachment, up bool, resumes uint32) bool {
	l.mu.Lock()
	defer l.events.flush()
	defer l.mu.Unlock()
	if l.att != att {
		return false
	}
	if l.endErr != nil {
		return true
	}
	back := up && (!att.up || resumes != att.resumes)
	att.up, att.resumes = up, resumes
	switch {
	case back:
		now := time.Now()
		att.proven = false
		att.wantSync, att.syncAt = true, now
		att.wantProbe = true
		att.probing = false
		att.lastReceive, att.waitingSince, att.tailAt, att.tails = now, time.Time{}, time.Time{}, 0
		l.startWaiting()
		l.arm(now.Add(idleProbe))
		signal(l.kick)
	case !up:
		l.held(ErrPathDown)
	}
	return true
}

// onHoldTime ends a link that nobody has come back to.
func (l *link) onHoldTime() {
	l.mu.Lock()
	over := l.holding
	hold := l.hold
	l.mu.Unlock()
	if over {
		l.end(&LinkError{Code: CodeHoldTime, Text: fmt.Sprintf("no path for %v", hold)}, true)
	}
}
