package mux

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrReset is what a stream's Read and Write return after either side has reset it.
var ErrReset = errors.New("stream reset")

// ErrProtocol is in the chain of every error that blames the peer's records: a malformed one, an offset that cannot be,
// more data than the limit allows. It ends the link, or the carrier if no link exists yet.
var ErrProtocol = errors.New("peer broke the link protocol")

// ErrCarrierDead is returned by Serve when the carrier was given up on: silence while something was waiting for an
// answer, or a path that stayed down too long.
var ErrCarrierDead = errors.New("carrier is dead")

// ErrReplaced is returned by Server.Serve when the client has brought the link to a newer carrier.
var ErrReplaced = errors.New("carrier replaced by a newer one")

// RefusedError says that the daemon does not admit the client. An Admit callback returns one to choose code and text;
// Client.Serve returns the one that was received. Text is the daemon's, for people.
type RefusedError struct {
	Code Refusal
	Text string
}

func (e *RefusedError) Error() string {
	if e.Text == "" {
		return "refused by the daemon: " + string(e.Code)
	}
	return fmt.Sprintf("refused by the daemon: %s: %s", e.Code, quoteText(e.Text))
}

// LinkError says why a link has ended. Every Read, Write and Open of a stream of that link returns it (unless the stream
// had ended before). It satisfies errors.Is(err, net.ErrClosed).
type LinkError struct {
	Code   Code   // why
	Text   string // details, for people
	Remote bool   // the peer ended it, and the text is the peer's
}

func (e *LinkError) Error() string {
	by := "link ended: "
	text := e.Text
	if e.Remote {
		by = "link ended by the peer: "
		text = quoteText(text)
	}
	if e.Text == "" {
		return by + e.Code.String()
	}
	return by + e.Code.String() + ": " + text
}

// Is makes the end of a link a kind of net.ErrClosed, and blames the peer for a breach.
func (e *LinkError) Is(target error) bool {
	return target == net.ErrClosed || (target == ErrProtocol && e.Code == CodeProtocol)
}

// closedError is the end of something by its own side: text for people, net.ErrClosed for errors.Is.
type closedError string

func (e closedError) Error() string        { return string(e) }
func (e closedError) Is(target error) bool { return target == net.ErrClosed }

// protocolError builds an error that satisfies errors.Is(err, ErrProtocol).
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// maxPeerText is how much of a peer's text is shown, in bytes.
const maxPeerText = 200

// quoteText makes a peer's text safe to show: cut and quoted.
func quoteText(s string) string {
	if len(s) > maxPeerText {
		s = strings.ToValidUTF8(s[:maxPeerText], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// errCanceled is what waiting for room returns when the writer no longer wants it.
var errCanceled = errors.New("canceled")

// errTooManyStreams is what Open returns beyond maxStreams.
var errTooManyStreams = fmt.Errorf("open stream: the link has %d streams already", maxStreams)

var (
	// ErrClientClosed is what a Client returns once Run has ended or Close was called. It satisfies
	// errors.Is(err, net.ErrClosed).
	ErrClientClosed error = closedError("link client closed")

	errServerClosed = closedError("link server closed")
)

// asRefused finds a refusal in an error's chain.
func asRefused(err error) (*RefusedError, bool) {
	return errors.AsType[*RefusedError](err)
}
