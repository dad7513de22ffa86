package tunnel

import "fmt"

// Status is a daemon's answer to a stream's preface.
type Status uint8

// The answers (architecture, section 4).
const (
	StatusOK            Status = 0x00 // the target is connected (connect), or can be (check)
	StatusUnknownTarget Status = 0x01 // no target of that name, or a network target's address is outside it
	StatusDenied        Status = 0x02 // the client's grant does not include the target; text: not_authorized, expired or target
	StatusRefused       Status = 0x03 // the target's machine refuses: nothing listens
	StatusTimeout       Status = 0x04 // the target has not answered in time
	StatusUnreachable   Status = 0x05 // no route, no such host, no such socket, or not permitted
	StatusBusy          Status = 0x06 // too many streams or dials at the daemon: try again
	StatusUnsupported   Status = 0x07 // the preface's version or kind is not known here, or its form is wrong
)

// String is the wire name, as it stands in JSON events; an unknown status
// prints as 0x%02x.
func (s Status) String() string {
	switch s {
	case StatusOK:
		return "ok"
	case StatusUnknownTarget:
		return "unknown_target"
	case StatusDenied:
		return "denied"
	case StatusRefused:
		return "refused"
	case StatusTimeout:
		return "timeout"
	case StatusUnreachable:
		return "unreachable"
	case StatusBusy:
		return "busy"
	case StatusUnsupported:
		return "unsupported"
	default:
		return fmt.Sprintf("0x%02x", uint8(s))
	}
}

// Temporary tells whether the same request may succeed without anybody
// changing a grant, a target's name or a program's version.
func (s Status) Temporary() bool {
	switch s {
	case StatusRefused, StatusTimeout, StatusUnreachable, StatusBusy:
		return true
	default:
		return false
	}
}
