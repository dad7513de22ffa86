package e2ee

import (
	"errors"

	"culvert/sbrp"
)

// Session is what a handshake gives: one session's keys, at either end. Sealer and Opener may be used by two goroutines, each by one at a time; Wipe and Check
// by nobody beside them.
type Session struct {
	_          noCompare
	DaemonKey  sbrp.PublicKey // the daemon's identity: verified at the client, its own at the daemon
	Transcript [32]byte       // the handshake's hash, the same at both ends and in no other session: bind to it what must not be moved to another
	Sealer     *Sealer
	Opener     *Opener
}

// Wipe drops both traffic keys (best effort, see the package's doc). Call it when the session ends. Seal and Open panic afterwards; another Wipe does
// nothing.
func (s *Session) Wipe() {
	s.Sealer.Wipe()
	s.Opener.Wipe()
}

// Check is the daemon's check of a session's state after its reconnect (section 6), before Signal(ready): both keys are there, the send sequence is not
// exhausted, the replay window is consistent. An error means Signal(close, state_lost).
func (s *Session) Check() error {
	switch {
	case s.Sealer == nil || s.Sealer.seal == nil, s.Opener == nil || s.Opener.open == nil:
		return errors.New("check session: its keys are gone")
	case s.Transcript == [32]byte{}:
		return errors.New("check session: it has no transcript")
	case s.Sealer.next == lastSequence:
		return ErrExhausted
	case !s.Opener.window.consistent():
		return errors.New("check session: its replay window is damaged")
	default:
		return nil
	}
}
