package sbrp

import "fmt"

// Code is a control code (section 5), the first two bytes of a Control frame's payload; or one of the endpoints' own codes, which never travel.
type Code uint16

// The control codes of section 5. T: the relay closes the WebSocket after it (Terminal). N: the connection stays open. S: the Control frame
// carries the session's id (SessionScoped). 0: it carries SessionID zero.
const (
	CodeUnauthorized     Code = 0x0101 // T 0  token missing, malformed, expired, bad signature
	CodeForbidden        Code = 0x0102 // T 0  token valid, access denied
	CodeDaemonNotFound   Code = 0x0201 // T S  no daemon is registered under that id
	CodeDaemonOffline    Code = 0x0202 // T S  the daemon is not connected
	CodeSessionNotFound  Code = 0x0301 // T S  a frame names an unknown session
	CodeSessionExpired   Code = 0x0302 // T S  grace ran out, Signal(close), a daemon that cannot resume came back
	CodeMalformedFrame   Code = 0x0401 // T 0
	CodePayloadTooLarge  Code = 0x0402 // T 0
	CodeInvalidFrameType Code = 0x0403 // T 0
	CodeInvalidSessionID Code = 0x0404 // T 0
	CodeDisallowedSender Code = 0x0405 // T S  this party may not send this type
	CodeInternalError    Code = 0x0601 // T 0  the relay failed
	CodeRateLimited      Code = 0x0901 // N 0  slow down
	CodeBackpressure     Code = 0x0902 // T 0  this receiver's send buffer at the relay is full
	CodeSessionPaused    Code = 0x1001 // N S  to a client: its daemon has disconnected
	CodeSessionResumed   Code = 0x1002 // N S  to a client: its daemon is back and ready
	CodeSessionEnded     Code = 0x1003 // N S  to a daemon: the client left. Whoever gets it ends that session
	CodeSessionPending   Code = 0x1004 // N S  to a client: its daemon is back, not ready yet; to a daemon: this session is held for you
)

// Codes of the endpoints themselves (section 5, last table). They name local failures and are never on the wire.
const (
	CodeIdentityKeyChanged Code = 0xE001 // the daemon's identity key is not the expected one
	CodeHandshakeFailed    Code = 0xE002 // bad signature, low-order point, wrong size
	CodeHandshakeTimeout   Code = 0xE003 // the handshake took longer than 30 s
	CodeDecryptFailed      Code = 0xE004 // bad tag, wrong direction, too short
	CodeSequenceError      Code = 0xE005 // replayed, or older than the window
)

// codeTraits is one row of section 5.
type codeTraits struct {
	name     string
	terminal bool // T
	session  bool // S
}

// codeTable is section 5, row by row.
var codeTable = map[Code]codeTraits{
	CodeUnauthorized:     {"unauthorized", true, false},
	CodeForbidden:        {"forbidden", true, false},
	CodeDaemonNotFound:   {"daemon_not_found", true, true},
	CodeDaemonOffline:    {"daemon_offline", true, true},
	CodeSessionNotFound:  {"session_not_found", true, true},
	CodeSessionExpired:   {"session_expired", true, true},
	CodeMalformedFrame:   {"malformed_frame", true, false},
	CodePayloadTooLarge:  {"payload_too_large", true, false},
	CodeInvalidFrameType: {"invalid_frame_type", true, false},
	CodeInvalidSessionID: {"invalid_session_id", true, false},
	CodeDisallowedSender: {"disallowed_sender", true, true},
	CodeInternalError:    {"internal_error", true, false},
	CodeRateLimited:      {"rate_limited", false, false},
	CodeBackpressure:     {"backpressure", true, false},
	CodeSessionPaused:    {"session_paused", false, true},
	CodeSessionResumed:   {"session_resumed", false, true},
	CodeSessionEnded:     {"session_ended", false, true},
	CodeSessionPending:   {"session_pending", false, true},
}

// localCodes are the codes that never travel.
var localCodes = map[Code]string{
	CodeIdentityKeyChanged: "identity_key_changed",
	CodeHandshakeFailed:    "handshake_failed",
	CodeHandshakeTimeout:   "handshake_timeout",
	CodeDecryptFailed:      "decrypt_failed",
	CodeSequenceError:      "sequence_error",
}

// String returns the protocol's name of the code, and 0x%04x for a code outside its tables.
func (c Code) String() string {
	if t, ok := codeTable[c]; ok {
		return t.name
	}
	if name, ok := localCodes[c]; ok {
		return name
	}
	return fmt.Sprintf("0x%04x", uint16(c))
}

// Known reports whether the code may stand in a Control frame: it is in the table of section 5. Local codes are not. An unknown code is logged
// and otherwise ignored by whoever gets it; the relay sends none.
func (c Code) Known() bool {
	_, ok := codeTable[c]
	return ok
}

// Local reports whether the code is one of the endpoints' own, which never travel.
func (c Code) Local() bool {
	_, ok := localCodes[c]
	return ok
}

// Terminal reports whether the relay closes the WebSocket after this code. An unknown code is not terminal by itself. A session-scoped
// terminal code closes a client's WebSocket, and a daemon's only for disallowed_sender (section 5).
func (c Code) Terminal() bool { return codeTable[c].terminal }

// SessionScoped reports whether a Control frame with this code carries the session's id, and not zero.
func (c Code) SessionScoped() bool { return codeTable[c].session }
