package endpoint

import "time"

// ready is the return of a daemon's session on the new WebSocket u, after its
// Signal(ready) was written. A second ready on the same WebSocket changes
// nothing.
func (s *Session) ready(u *uplink) {
	if u.isLost() {
		return // parted will follow, or has been
	}
	s.step(evReady, nil, func() {
		s.link = u
		s.resumes++
		s.unsure.Store(true)
		if by := time.Now().Add(confirmTimeout); s.deadline.Before(by) {
			s.deadline = by
		}
	})
	if u.isLost() {
		// It was lost between the two looks; whether parted came before or after
		// the step, the path is down now.
		s.parted(u, time.Time{})
		return
	}
	s.dm.recheckDeadlines()
}

// parted is the loss of WebSocket u. A session that was shaking hands ends: the
// relay does not pause those. A zero deadline keeps the one there is.
func (s *Session) parted(u *uplink, deadline time.Time) {
	s.mu.Lock()
	state, mine := s.state, s.link == u
	s.mu.Unlock()
	if !mine {
		return // it has not come back since the loss of an earlier one
	}
	if state == Handshaking {
		s.dm.end(s, evLost, u.err, nil)
		return
	}
	s.step(evLost, nil, func() {
		s.link = nil
		s.unsure.Store(false)
		if !deadline.IsZero() {
			s.deadline = deadline
		}
	})
}

// confirm notes a sign that the relay still has the session: a message of the
// client that authenticates, or session_pending for it.
func (s *Session) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsure.CompareAndSwap(true, false) {
		s.deadline = time.Time{}
	}
}

// dueBy is when the session has to be ended, zero if not at all.
func (s *Session) dueBy() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deadline
}
