package service

import (
	"errors"
	"fmt"
)

// Code classifies a failure; its number is the process's exit code (see the README).
type Code int

// Exit codes. They are part of the command-line contract: never renumbered.
const (
	CodeOK       Code = 0  // done, or ended by SIGINT or SIGTERM
	CodeFailure  Code = 1  // any other failure
	CodeUsage    Code = 2  // wrong words on the command line
	CodeConfig   Code = 10 // configuration or state directory
	CodeLogin    Code = 11 // not logged in, or the key was refused
	CodeRelay    Code = 20 // relay or control plane unreachable
	CodeTLS      Code = 21 // proxy or TLS on the way to it
	CodeDaemon   Code = 22 // daemon unknown or offline
	CodeRefused  Code = 23 // refused by the daemon: not authorised, expired, pairing failed
	CodeTarget   Code = 24 // target down or unknown
	CodeIdentity Code = 25 // the daemon's identity changed
	CodeBind     Code = 26 // local address busy or not allowed
	CodeHold     Code = 27 // hold time over
)

// Permanent reports whether the failure cannot heal by itself, so that retrying is
// pointless and the command ends at once.
func (c Code) Permanent() bool {
	switch c {
	case CodeUsage, CodeConfig, CodeLogin, CodeRefused, CodeIdentity, CodeBind:
		return true
	default:
		return false
	}
}

// Error is a failure with what a caller needs to act on it.
type Error struct {
	Code Code
	// Name is a stable word for scripts, such as "identity_key_changed"; it is the "code"
	// of a JSON error event.
	Name string
	Err  error
	// Mend says what to do next, as a sentence or a command; it may be empty.
	Mend string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errorf builds an Error with a formatted cause.
func errorf(code Code, name, mend, format string, args ...any) *Error {
	return &Error{Code: code, Name: name, Err: fmt.Errorf(format, args...), Mend: mend}
}

// CodeOf returns the exit code for err: 0 for nil, the code of the first [*Error] in its
// chain, else 1.
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeFailure
}
