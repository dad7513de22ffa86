package endpoint

import (
	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// Wipe drops a session's keys, as if its state had been lost.
func (s *Session) Wipe() { s.wipe() }

// Exhaust ends a session as its last sequence number would.
func (s *Session) Exhaust() { s.endWith(evExhausted, e2ee.ErrExhausted, sbrp.ReasonError) }

// Limits that tests run into.
const (
	QueueBytes     = queueBytes
	MalformedLimit = malformedLimit
)

// ThisNetwork is what a Watcher sees of this machine's network.
func ThisNetwork() string { return (&machine{}).Network() }

// Wiped reports whether the session's keys are gone.
func (s *Session) Wiped() bool {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	return s.wiped
}
