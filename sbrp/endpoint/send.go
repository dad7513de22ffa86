package endpoint

import (
	"errors"
	"fmt"
	"time"

	"culvert/sbrp"
)

// Send seals one message and writes it. The message is buf[head:] with the head
// of Overhead; behind len(buf) there must be room for tail bytes within its
// capacity, and both rooms are overwritten. buf is the caller's again on return.
//
// It blocks for back pressure, and for a moment when the relay has asked for
// slowness. While the path is down the message is dropped, unsealed, and nil
// returned: loss is for the layer above to mend. The same goes for a daemon
// whose WebSocket breaks under the write. An error means that the session is
// over.
//
// A daemon's sessions share one socket; each seals on its own and then waits
// its turn, first come first served. Close unblocks a Send that waits; one
// whose bytes are going into the shared socket ends with that write, which has
// a timeout and which a dead WebSocket interrupts.
func (s *Session) Send(buf []byte) error {
	if len(buf) < headRoom || cap(buf)-len(buf) < tailRoom || len(buf)-headRoom > sbrp.MaxPlaintext {
		panic(fmt.Sprintf("endpoint: Send of a buffer with length %d and capacity %d", len(buf), cap(buf)))
	}
	select {
	case s.sending <- struct{}{}:
	case <-s.done:
		return s.Err()
	}
	defer func() { <-s.sending }()

	u, err := s.road()
	if u == nil || err != nil {
		return err
	}
	frame, err := s.seal(buf)
	if err != nil {
		// Exhausted (section 4): nothing more is sent, a new handshake makes new keys.
		s.endWith(evExhausted, fmt.Errorf("seal message: %w", err), sbrp.ReasonError)
		return s.closedErr()
	}
	switch err := u.write(frame, s.done); {
	case err == nil:
		s.stats.sent(len(buf) - headRoom)
		return nil
	case errors.Is(err, errQuit), s.role == sbrp.RoleClient:
		return s.closedErr() // a client's WebSocket is its session
	default:
		s.stats.dropped.Add(1)
		return nil
	}
}

// road returns the uplink to send on, nil if the path is down (the message is
// counted as dropped), an error if the session is over. It waits while the
// relay wants it slow.
func (s *Session) road() (*uplink, error) {
	for {
		s.mu.Lock()
		state, u, changed, err := s.state, s.link, s.changed, s.err
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if state != Active || u == nil {
			s.stats.dropped.Add(1)
			return nil, nil
		}
		d := u.hold()
		if d == 0 {
			return u, nil
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-changed: // paused or over meanwhile
		}
		t.Stop()
	}
}
