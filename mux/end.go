package mux

import "time"

// end ends the link at once, on this side. tell has the peer told by CLOSE, if there is a path. It may be called by
// anybody, more than once, and returns without waiting; done is closed when it returns.
func (l *link) end(e *LinkError, tell bool) {
	l.mu.Lock()
	if l.endErr != nil {
		l.mu.Unlock()
		return
	}
	l.endErr = e
	streams := l.streams()
	l.timer.Stop()
	l.holdTimer.Stop()
	l.holding = false
	freed := l.buf.drop()
	l.chunks.Store(0)
	begun := l.state != StateConnecting
	l.setState(StateLost)
	l.budget.forget(l)
	l.budget.give(freed)
	kind := EventLost
	if e.Code == CodeNormal || e.Code == CodeShutdown {
		kind = EventClosed
	}
	if begun { // else nobody has heard of it
		l.event(Event{Kind: kind, Reason: e, Streams: streams, Lost: streams})
	}
	att := l.att
	l.sayClose = tell && !e.Remote && att != nil && att.up
	if l.sayClose {
		l.farewell = time.AfterFunc(closeBlocked, func() { l.detach(att, e) })
	} else {
		att = l.detachLocked(e)
	}
	close(l.done)
	waits := l.sayClose
	l.mu.Unlock()
	if !waits {
		l.closeGone(att)
	}
	signal(l.kick)
	l.events.flush()
	if l.onEnd != nil {
		l.onEnd()
	}
}

// finish ends the link when the peer has acknowledged all that was written, at the latest after closeLinger; at once when
// there is no path. It blocks until the link has ended.
func (l *link) finish(e *LinkError) {
	l.mu.Lock()
	if l.endErr == nil && l.closing == nil && l.att != nil && l.att.up && l.buf.start < l.buf.end {
		l.closing = e
		l.closingBy = time.Now().Add(closeLinger)
		l.att.wantProbe = true // its answer says at once what has arrived
		l.arm(l.closingBy)
		l.wakeWriters()
		signal(l.kick)
	}
	waits := l.closing != nil
	l.mu.Unlock()
	if !waits {
		l.end(e, true)
	}
	<-l.done
}
