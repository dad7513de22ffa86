package sbrp

import "fmt"

// Role is a party that sends frames (section 1). The zero Role is nobody: it may send nothing.
type Role uint8

// The parties.
const (
	RoleClient Role = iota + 1
	RoleDaemon
	RoleRelay
)

// String returns "client", "daemon" or "relay", and role(%d) for anything else.
func (r Role) String() string {
	switch r {
	case RoleClient:
		return "client"
	case RoleDaemon:
		return "daemon"
	case RoleRelay:
		return "relay"
	default:
		return fmt.Sprintf("role(%d)", uint8(r))
	}
}

// SentBy reports whether a party of this role makes frames of type t (the "from" column of section 2). The relay forwards more than it makes: what
// reaches an endpoint is ReceivedBy's answer.
func (t FrameType) SentBy(r Role) bool {
	switch t {
	case FrameHandshakeInit:
		return r == RoleClient
	case FrameHandshakeAccept, FrameSignal:
		return r == RoleDaemon
	case FrameData:
		return r == RoleClient || r == RoleDaemon
	case FramePing, FramePong:
		return r == RoleClient || r == RoleDaemon || r == RoleRelay
	case FrameControl:
		return r == RoleRelay
	default:
		return false
	}
}

// ReceivedBy reports whether an endpoint (client or daemon) may get a frame of type t over its relay connection: what the other end sends through
// the relay, and what the relay sends itself. For the relay it reports what either endpoint may send it.
func (t FrameType) ReceivedBy(r Role) bool {
	switch r {
	case RoleClient:
		return t == FrameHandshakeAccept || t == FrameData || t.SentBy(RoleRelay)
	case RoleDaemon:
		return t == FrameHandshakeInit || t == FrameData || t.SentBy(RoleRelay)
	case RoleRelay:
		return t.SentBy(RoleClient) || t.SentBy(RoleDaemon)
	default:
		return false
	}
}

// CheckSender applies the relay's rules 5 and 6 of section 2 to a frame that ParseFrame passed: the sender may send this type (else
// disallowed_sender), and a client's session-bound frame names the session of its token (else session_not_found). bound is that session; it is
// ignored for daemons, whose connection carries many. The error is an *Error whose SessionID is the frame's, as the answer's must be.
func CheckSender(f Frame, from Role, bound SessionID) error {
	if !f.Type.SentBy(from) {
		return frameError(CodeDisallowedSender, RuleSender, f.SessionID, "%v from a %v", f.Type, from)
	}
	if from == RoleClient && f.Type.SessionBound() && f.SessionID != bound {
		return frameError(CodeSessionNotFound, RuleBound, f.SessionID, "%v for another session than the token's", f.Type)
	}
	return nil
}
