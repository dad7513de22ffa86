package tunnel

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBusy: a local bound on connections is reached.
	ErrBusy = errors.New("too many connections")
	// ErrHeld: the link has no path now, and the forward was told not to wait.
	ErrHeld = errors.New("the link is down")
	// ErrNotBound: Run before Bind.
	ErrNotBound = errors.New("forward is not bound")
)

// StatusError is a daemon's answer that is not ok. Text is the daemon's, for
// people; nothing is decided on it.
type StatusError struct {
	Target string
	Status Status
	Text   string
}

func (e *StatusError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("target %q: %s", e.Target, e.Status)
	}
	return fmt.Sprintf("target %q: %s: %s", e.Target, e.Status, quoteText(e.Text))
}

// BindKind says why a listener could not be opened.
type BindKind string

// The kinds of BindError.
const (
	BindBusy         BindKind = "busy"          // another program listens there
	BindNotPermitted BindKind = "not_permitted" // a port below 1024, or a directory without write permission
	BindNoAddress    BindKind = "no_address"    // this machine does not have that address
	BindFailed       BindKind = "failed"        // anything else
)

// BindError: a forward's local address cannot be listened on.
type BindError struct {
	Addr string
	Kind BindKind
	Hint string // what to do
	Err  error
}

func (e *BindError) Error() string {
	var what string
	switch e.Kind {
	case BindBusy:
		what = "the address is in use"
	case BindNotPermitted:
		what = "not permitted"
	case BindNoAddress:
		what = "this machine does not have that address"
	default:
		what = e.Err.Error() // printing, no decision
	}
	if e.Hint == "" {
		return fmt.Sprintf("listen on %s: %s", e.Addr, what)
	}
	return fmt.Sprintf("listen on %s: %s: %s", e.Addr, what, e.Hint)
}

func (e *BindError) Unwrap() error { return e.Err }

// quoteText makes a peer's text safe to show: cut and quoted.
func quoteText(s string) string {
	if len(s) > maxShownText {
		s = strings.ToValidUTF8(s[:maxShownText], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
