package mux

import "fmt"

// Refusal is the code of a REFUSE record: why the daemon does not admit a client.
type Refusal string

// The refusals. Unknown ones are passed on as they are.
const (
	RefuseNotAuthorized Refusal = "not_authorized" // nobody has granted this key anything
	RefuseExpired       Refusal = "expired"        // the grant has run out
	RefusePairing       Refusal = "pairing_failed" // the proof of the pairing code is wrong, used or too old
	RefuseVersion       Refusal = "version"        // the peers speak different versions
	RefuseBusy          Refusal = "busy"           // too many links; try again later
	RefuseStale         Refusal = "stale"          // a later attempt of the same client has been served already
	RefuseInvalid       Refusal = "invalid"        // the HELLO is malformed or its signature is wrong
)

// permanent tells whether trying again with the same key and program is pointless, so that the link need not be held.
func (r Refusal) permanent() bool {
	switch r {
	case RefuseNotAuthorized, RefuseExpired, RefusePairing, RefuseVersion:
		return true
	default:
		return false
	}
}

// Code is the code of a CLOSE record: why a link has ended.
type Code uint16

// The codes. Unknown ones are shown by number.
const (
	CodeNormal   Code = 0x0000 // ended on purpose
	CodeProtocol Code = 0x0001 // the peer broke the protocol
	CodeRevoked  Code = 0x0002 // the daemon no longer admits the client
	CodeHoldTime Code = 0x0003 // held for longer than the hold time
	CodeBudget   Code = 0x0004 // ended while held to free memory
	CodeShutdown Code = 0x0005 // the process ends
	CodeUnknown  Code = 0x0006 // the daemon does not know the link (restarted, or ended it meanwhile)
	CodeInternal Code = 0x0007 // a fault of our own
)

func (c Code) String() string {
	switch c {
	case CodeNormal:
		return "closed"
	case CodeProtocol:
		return "protocol breach"
	case CodeRevoked:
		return "access revoked"
	case CodeHoldTime:
		return "hold time over"
	case CodeBudget:
		return "memory budget exceeded"
	case CodeShutdown:
		return "shutting down"
	case CodeUnknown:
		return "link unknown to the daemon"
	case CodeInternal:
		return "internal fault"
	default:
		return fmt.Sprintf("code 0x%04x", uint16(c))
	}
}
