package sbrp

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is what we decided: a peer's frame, a handshake or a sealed message was refused. Match it by code, errors.Is(err, &Error{Code: c}), or read
// it with errors.AsType. What the relay told us is a ControlError.
type Error struct {
	Code      Code      // of the Control frame to answer with, or one of the endpoints' own
	SessionID SessionID // that the answer carries; zero for the codes that are not about one session
	Rule      Rule      // which check refused the frame; RuleNone outside frame checking
	Detail    string    // for people: sizes, types and limits, never the peer's bytes or text
}

// Error returns the code's name and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Detail
}

// Is reports whether target is an *Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of the first *Error or *ControlError in err's tree, and false if there is none.
func CodeOf(err error) (Code, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code, true
	}
	if e, ok := errors.AsType[*ControlError](err); ok {
		return e.Code, true
	}
	return 0, false
}

// ControlError is what the relay told us in a Control frame. Match it by code, errors.Is(err, &ControlError{Code: c}).
type ControlError struct {
	Code      Code
	SessionID SessionID // zero if the code is about the connection
	Text      string    // the relay's words, unauthenticated and possibly hostile: a hint for people, never for decisions
}

// Error returns the code's name and the relay's text, quoted and cut to MaxPeerText bytes.
func (e *ControlError) Error() string {
	if e.Text == "" {
		return "relay: " + e.Code.String()
	}
	return "relay: " + e.Code.String() + ": " + Quote(e.Text)
}

// Is reports whether target is a *ControlError with the same code.
func (e *ControlError) Is(target error) bool {
	t, ok := target.(*ControlError)
	return ok && t.Code == e.Code
}

// Backpressure reports whether the relay ended the connection because this receiver was
// too slow (section 5): what asks for less ahead next time.
func (e *ControlError) Backpressure() bool { return e.Code == CodeBackpressure }

// Quote returns a peer's text as errors and logs show it: quoted as by %q, cut to MaxPeerText bytes at a letter's border.
func Quote(text string) string {
	if len(text) <= MaxPeerText {
		return fmt.Sprintf("%q", text)
	}
	n := MaxPeerText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return fmt.Sprintf("%q...", strings.Clone(text[:n]))
}

// Rule names the check of section 2 that refused a frame.
type Rule uint8

// The checks. The numbers 1 to 6 are those of section 2.
const (
	RuleNone      Rule = 0
	RuleLength    Rule = 1 // the message is exactly one frame
	RuleSize      Rule = 2 // the length is at most MaxPayload
	RuleType      Rule = 3 // the type is known
	RuleSessionID Rule = 4 // the SessionID fits the type
	RuleSender    Rule = 5 // the sender may send this type
	RuleBound     Rule = 6 // a client's frame names its token's session
	RulePing      Rule = 7 // a Ping holds at most MaxPing bytes
	RulePayload   Rule = 8 // the payload fits the type; endpoints only
)

// String returns the words of the check.
func (r Rule) String() string {
	switch r {
	case RuleNone:
		return "none"
	case RuleLength:
		return "1 (one whole frame)"
	case RuleSize:
		return "2 (payload size)"
	case RuleType:
		return "3 (type)"
	case RuleSessionID:
		return "4 (session id)"
	case RuleSender:
		return "5 (sender)"
	case RuleBound:
		return "6 (token's session)"
	case RulePing:
		return "ping size"
	case RulePayload:
		return "payload"
	default:
		return fmt.Sprintf("rule(%d)", uint8(r))
	}
}

func frameError(c Code, rule Rule, id SessionID, format string, args ...any) error {
	return &Error{Code: c, SessionID: id, Rule: rule, Detail: fmt.Sprintf(format, args...)}
}
