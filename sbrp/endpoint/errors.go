package endpoint

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrDaemonClosed is in the error of a session that ended because its Daemon's
// Run ended. It is a net.ErrClosed.
var ErrDaemonClosed = fmt.Errorf("daemon stopped: %w", net.ErrClosed)

// PermanentError is what DaemonConfig.Connect returns (or wraps) when trying
// again cannot help: the enrolment was revoked, the name is taken. It ends
// [Daemon.Run].
type PermanentError struct{ Err error }

// Permanent marks err as one that trying again does not heal; nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{Err: err}
}

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// isPermanent reports whether err holds a PermanentError.
func isPermanent(err error) bool {
	_, ok := errors.AsType[*PermanentError](err)
	return ok
}

// ClosedError is the error of a session or WebSocket that this side ended. It
// is a net.ErrClosed.
type ClosedError struct {
	// Reason is what Close was told; for people.
	Reason string
}

func (e *ClosedError) Error() string {
	if e.Reason == "" {
		return "session closed"
	}
	return "session closed: " + e.Reason
}

// Is makes every ClosedError a net.ErrClosed.
func (e *ClosedError) Is(target error) bool { return target == net.ErrClosed }

// SilenceError says that a WebSocket was given up because nothing came over it
// any more. The path is dead without having said so: packets dropped silently,
// a machine asleep, a network left.
type SilenceError struct {
	// Why names the rule that was broken, with its time.
	Why string
	// Silent is how long nothing had been received.
	Silent time.Duration
}

func (e *SilenceError) Error() string {
	return fmt.Sprintf("relay connection is dead: %s (silent for %v)", e.Why, e.Silent.Round(time.Millisecond))
}

// Timeout makes a SilenceError a timeout in the sense of net.Error.
func (e *SilenceError) Timeout() bool { return true }

// Temporary is part of net.Error.
func (e *SilenceError) Temporary() bool { return true }
