package sbrp

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// AppendControl appends a Control frame, which only a relay sends. The text is for people: no behaviour depends on it, and the relay puts no
// identifier (daemon, client, session, token) in it. It panics for a code that section 5 does not have on the wire, and for a text that does
// not fit a frame. The SessionID is the caller's to choose (Code.SessionScoped).
func AppendControl(b []byte, id SessionID, c Code, text string) []byte {
	if !c.Known() {
		panic("sbrp: AppendControl with the code " + c.String() + ", which is not in the protocol's table")
	}
	if len(text) > maxControlText {
		panic(fmt.Sprintf("sbrp: AppendControl with a text of %d bytes, the limit is %d", len(text), maxControlText))
	}
	n := len(b)
	b = append(b, make([]byte, HeaderSize)...)
	PutHeader(b[n:], FrameControl, id, MinControl+len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(c))
	return append(b, text...)
}

// ParseControl parses the payload of a Control frame. A code that is not in the table is returned as it is, without an error: the caller logs it
// and goes on (section 5). One of the endpoints' own codes is refused, so that a relay cannot speak for our own checks. Invalid UTF-8 in
// the text is replaced; the text may be up to 65,534 bytes long and hostile: quote it, cut it (ControlError does), decide nothing by it.
// The error is an *Error, malformed_frame.
func ParseControl(payload []byte) (Code, string, error) {
	if len(payload) < MinControl {
		return 0, "", frameError(CodeMalformedFrame, RulePayload, 0, "Control payload of %d bytes, want at least %d", len(payload), MinControl)
	}
	c := Code(binary.BigEndian.Uint16(payload))
	if c.Local() {
		return 0, "", frameError(CodeMalformedFrame, RulePayload, 0, "Control with the code 0x%04x, which is never on the wire", uint16(c))
	}
	return c, strings.ToValidUTF8(string(payload[MinControl:]), "\uFFFD"), nil
}

// Signal is what a daemon tells the relay about a session (section 2), the first byte of a Signal frame's payload.
type Signal uint8

// The signals.
const (
	SignalReady Signal = 0x00 // the daemon has the session's state and goes on
	SignalClose Signal = 0x01 // the session is over
)

// String returns "ready" or "close", and 0x%02x for anything else.
func (s Signal) String() string {
	switch s {
	case SignalReady:
		return "ready"
	case SignalClose:
		return "close"
	default:
		return fmt.Sprintf("0x%02x", uint8(s))
	}
}

// Reason says why a session was closed, the second byte of a Signal frame's payload. With SignalReady it means nothing.
type Reason uint8

// The reasons. An unknown one counts as none.
const (
	ReasonNone      Reason = 0x00
	ReasonStateLost Reason = 0x01 // the daemon no longer has the session's keys
	ReasonShutdown  Reason = 0x02 // the daemon is going down
	ReasonPolicy    Reason = 0x03 // the daemon's owner does not want this session
	ReasonError     Reason = 0x04
)

// String returns the protocol's name of the reason, and 0x%02x for anything else.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "none"
	case ReasonStateLost:
		return "state_lost"
	case ReasonShutdown:
		return "shutdown"
	case ReasonPolicy:
		return "policy"
	case ReasonError:
		return "error"
	default:
		return fmt.Sprintf("0x%02x", uint8(r))
	}
}

// AppendSignal appends a Signal frame, which only a daemon sends. It panics for a signal or reason outside the protocol's tables and for
// SessionID zero. SignalReady goes with ReasonNone.
func AppendSignal(b []byte, id SessionID, s Signal, r Reason) []byte {
	if s > SignalClose || r > ReasonError {
		panic("sbrp: AppendSignal with " + s.String() + ", " + r.String())
	}
	return Frame{Type: FrameSignal, SessionID: id, Payload: []byte{byte(s), byte(r)}}.mustAppend(b)
}

// ParseSignal parses the payload of a Signal frame. An unknown reason is ReasonNone (section 2); an unknown signal or a wrong size is an *Error,
// malformed_frame.
func ParseSignal(payload []byte) (Signal, Reason, error) {
	if len(payload) != SignalSize {
		return 0, 0, frameError(CodeMalformedFrame, RulePayload, 0, "Signal payload of %d bytes, want %d", len(payload), SignalSize)
	}
	s, r := Signal(payload[0]), Reason(payload[1])
	if s > SignalClose {
		return 0, 0, frameError(CodeMalformedFrame, RulePayload, 0, "unknown signal %v", s)
	}
	if r > ReasonError {
		r = ReasonNone
	}
	return s, r, nil
}
