package endpoint

import (
	"fmt"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// Close ends the session with a reason for people, and unblocks Send and
// Receive with an error that is a net.ErrClosed. A daemon tells the relay with
// Signal(close); the reasons "shutdown" and "policy" (the names of package
// sbrp) go with it, every other goes as none; it does not wait for that to be
// written. A client says good-bye to the relay, so that what was sent before is
// not lost, waits for the answer for two seconds at most, and for its goroutines.
// Further calls do nothing, and wait as the first does. The error is always nil.
func (s *Session) Close(reason string) error {
	r := sbrp.ReasonNone
	for _, known := range []sbrp.Reason{sbrp.ReasonShutdown, sbrp.ReasonPolicy} {
		if reason == known.String() {
			r = known
		}
	}
	s.endWith(evClose, &ClosedError{Reason: reason}, r)
	s.retire()
	return nil
}

// endWith ends the session because of this side: it tells the relay. What is
// queued is dropped. It does not wait.
func (s *Session) endWith(on event, err error, r sbrp.Reason) {
	if s.role == sbrp.RoleDaemon {
		s.dm.end(s, on, err, &r)
		return
	}
	s.mu.Lock()
	u := s.link
	s.mu.Unlock()
	if !s.finish(on, err) || u == nil {
		return
	}
	if on == evClose {
		u.bye(err, wsconn.StatusNormal)
	}
	u.fail(err)
}

// retire frees what an ended session holds: goroutines, queue, keys.
func (s *Session) retire() {
	if s.role == sbrp.RoleDaemon {
		s.dm.queued.Add(-int64(s.queue.discard()))
		s.wipe()
		return
	}
	s.mu.Lock()
	u := s.link
	s.mu.Unlock()
	if u != nil {
		u.wait()
	}
	s.wipe()
}

// lost is the end of the client's WebSocket, and so of its session.
func (s *Session) lost(err error) { s.finish(evLost, err) }

// notePause keeps the time of the first pause hint; s.mu is held.
func (s *Session) notePause() {
	if s.since.IsZero() {
		s.since = time.Now()
		s.link.recheck() // the keeper has MaxPaused to watch now
	}
}

// noteResume counts the return of the path; s.mu is held.
func (s *Session) noteResume() {
	s.since = time.Time{}
	s.resumes++
}

// watchPause is the keeper's extra duty at a client: a session that is paused
// for longer than MaxPaused is over, whatever the relay says.
func (s *Session) watchPause(now time.Time) time.Duration {
	const never = time.Hour
	s.mu.Lock()
	since, u := s.since, s.link
	s.mu.Unlock()
	if since.IsZero() {
		return never
	}
	if left := since.Add(s.maxPaused).Sub(now); left > 0 {
		return left
	}
	err := &sbrp.Error{Code: sbrp.CodeSessionExpired, SessionID: s.id, Detail: fmt.Sprintf("paused for more than %v", s.maxPaused)}
	if s.finish(evPausedLong, err) {
		u.fail(err)
	}
	return never
}
