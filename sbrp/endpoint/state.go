package endpoint

import "fmt"

// State is where a session stands (spec section 6).
type State uint8

const (
	Idle         State = iota // nothing done yet
	Connecting                // WebSocket being opened
	Handshaking               // client: HandshakeInit sent; daemon: HandshakeInit seen
	Active                    // messages may pass
	Paused                    // client: the daemon is away
	Pending                   // client: the daemon is back, not ready yet
	Reconnecting              // client: over, a new token may be tried; daemon: WebSocket lost, state kept
	Closed                    // over; nothing to try again
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Connecting:
		return "connecting"
	case Handshaking:
		return "handshaking"
	case Active:
		return "active"
	case Paused:
		return "paused"
	case Pending:
		return "pending"
	case Reconnecting:
		return "reconnecting"
	case Closed:
		return "closed"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// event is what happens to a session.
type event uint8

const (
	evDial       event = iota // client: start
	evOpen                    // client: WebSocket open, HandshakeInit sent
	evAccepted                // client: HandshakeAccept verified; daemon: HandshakeAccept written
	evDistrusted              // client: identity_key_changed or handshake_failed
	evTimeout                 // handshake_timeout
	evPaused                  // client: session_paused
	evPending                 // client: session_pending
	evResumed                 // client: session_resumed
	evLost                    // WebSocket closed or refused, or a terminal code
	evEnded                   // session_ended, or a session-scoped terminal code at the daemon
	evForged                  // decrypt_failed
	evExhausted               // send sequence used up
	evPausedLong              // client: paused beyond MaxPaused
	evReady                   // daemon: Signal(ready) written
	evUnfit                   // daemon: state check failed, or no confirmation in time
	evClose                   // we close
)

type transition struct {
	from State
	on   event
}

// clientTable is the client's part of spec section 6. Reconnecting is the end
// of a Session too: what comes next is a new token, a new session id and a full
// handshake, which is another Session. A pair that is not in the table changes
// nothing and is counted: a hint of the relay at the wrong time.
var clientTable = map[transition]State{
	{Idle, evDial}:  Connecting,
	{Idle, evClose}: Closed,

	{Connecting, evOpen}:  Handshaking,
	{Connecting, evLost}:  Reconnecting, // daemon_offline, 401, 409 …: back off, then a new token
	{Connecting, evClose}: Closed,

	{Handshaking, evAccepted}:   Active,
	{Handshaking, evDistrusted}: Closed,       // only a person can say "go on"
	{Handshaking, evTimeout}:    Reconnecting, // handshake_timeout, the connection is closed
	{Handshaking, evLost}:       Reconnecting, // daemon_offline and every other terminal code
	{Handshaking, evEnded}:      Reconnecting,
	{Handshaking, evClose}:      Closed,

	{Active, evPaused}:    Paused,
	{Active, evPending}:   Pending, // the session_paused before it was lost: believe the newer
	{Active, evLost}:      Reconnecting,
	{Active, evEnded}:     Reconnecting,
	{Active, evForged}:    Reconnecting,
	{Active, evExhausted}: Reconnecting,
	{Active, evClose}:     Closed,

	{Paused, evPending}:    Pending,
	{Paused, evResumed}:    Active, // same keys, sequences and window
	{Paused, evLost}:       Reconnecting,
	{Paused, evEnded}:      Reconnecting,
	{Paused, evForged}:     Reconnecting, // data of a paused session is still judged by its seal
	{Paused, evExhausted}:  Reconnecting,
	{Paused, evPausedLong}: Reconnecting,
	{Paused, evClose}:      Closed,

	{Pending, evPaused}:     Paused, // the daemon went away again
	{Pending, evResumed}:    Active,
	{Pending, evLost}:       Reconnecting,
	{Pending, evEnded}:      Reconnecting,
	{Pending, evForged}:     Reconnecting,
	{Pending, evExhausted}:  Reconnecting,
	{Pending, evPausedLong}: Reconnecting,
	{Pending, evClose}:      Closed,
}

// daemonTable is the daemon's part of spec section 6, per session.
var daemonTable = map[transition]State{
	{Idle, evOpen}: Handshaking, // HandshakeInit

	{Handshaking, evAccepted}: Active,
	{Handshaking, evTimeout}:  Closed,
	{Handshaking, evLost}:     Closed, // not paused: the relay tells the client daemon_offline
	{Handshaking, evEnded}:    Closed,
	{Handshaking, evClose}:    Closed,

	{Active, evLost}:      Reconnecting, // keep keys, sequences, window
	{Active, evEnded}:     Closed,
	{Active, evForged}:    Closed,
	{Active, evExhausted}: Closed,
	{Active, evUnfit}:     Closed,
	{Active, evClose}:     Closed,

	{Reconnecting, evReady}:     Active, // same keys, sequences and window
	{Reconnecting, evEnded}:     Closed,
	{Reconnecting, evForged}:    Closed, // in a frame that was queued before
	{Reconnecting, evExhausted}: Closed,
	{Reconnecting, evUnfit}:     Closed,
	{Reconnecting, evClose}:     Closed,
}
