package relay

import (
	"fmt"

	"culvert/sbrp"
)

// state is the state of a session at the relay (spec section 6).
type state uint8

const (
	stateNone    state = iota // the client is being admitted
	statePaired               // frames pass
	statePaused               // the daemon's WebSocket is gone, the grace period runs
	statePending              // the daemon is back and has not signalled yet
	stateClosed               // the client has been told why, or has left
	stateCount
)

// String returns the spec's name.
func (s state) String() string {
	names := [...]string{"none", "Paired", "Paused", "Pending", "closed"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// event is what happens to a session.
type event uint8

const (
	clientOpensDaemonOn event = iota
	clientOpensDaemonOff
	clientCloses // or broke a rule, and has been told its code
	daemonCloses // its WebSocket, whatever the reason
	daemonClosesEarly
	daemonBack // with scope session:resume, in grace
	daemonBackCannotResume
	signalReady
	signalClose
	graceOver
	noSignal
	handshakeOver
	eventCount
)

// String returns the spec's words.
func (e event) String() string {
	names := [...]string{
		"client opens, daemon on", "client opens, daemon off", "client closes",
		"daemon's WebSocket closes", "daemon's WebSocket closes before HandshakeAccept",
		"daemon back, scope session:resume, in grace", "daemon back without that scope",
		"Signal(ready)", "Signal(close)", "grace over", "no Signal in time", "handshake timeout",
	}
	if int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("event(%d)", uint8(e))
}

// transition is one row of the table in spec section 6. A code of zero means that nobody is told.
type transition struct {
	state    state
	event    event
	next     state
	toClient sbrp.Code
	toDaemon sbrp.Code
}

// nobody stands for "nothing to send".
const nobody sbrp.Code = 0

// transitions is the table of spec section 6, in its order, then what the section says in words, then what follows from it.
// A pair of state and event that is not here changes nothing.
var transitions = [...]transition{
	// state, event, next, to the client, to the daemon
	{stateNone, clientOpensDaemonOn, statePaired, nobody, nobody}, // bind
	{stateNone, clientOpensDaemonOff, stateClosed, sbrp.CodeDaemonOffline, nobody},
	{statePaired, daemonCloses, statePaused, sbrp.CodeSessionPaused, nobody},
	{statePaired, signalClose, stateClosed, sbrp.CodeSessionExpired, nobody},
	{statePaired, clientCloses, stateClosed, nobody, sbrp.CodeSessionEnded},
	{statePaused, daemonBack, statePending, sbrp.CodeSessionPending, sbrp.CodeSessionPending}, // to the daemon: "once per session held"
	{statePaused, daemonBackCannotResume, stateClosed, sbrp.CodeSessionExpired, nobody},
	{statePaused, clientCloses, stateClosed, nobody, nobody},
	{statePaused, graceOver, stateClosed, sbrp.CodeSessionExpired, nobody},
	{statePending, noSignal, stateClosed, sbrp.CodeSessionExpired, nobody},
	{statePending, signalReady, statePaired, sbrp.CodeSessionResumed, nobody},
	{statePending, signalClose, stateClosed, sbrp.CodeSessionExpired, nobody},
	{statePending, clientCloses, stateClosed, nobody, sbrp.CodeSessionEnded},

	// "A session whose HandshakeAccept has not passed when the daemon drops is not paused."
	{statePaired, daemonClosesEarly, stateClosed, sbrp.CodeDaemonOffline, nobody},

	// Ours. The section is silent about a daemon that drops again before it has signalled: it gets a new grace period.
	{statePending, daemonCloses, statePaused, sbrp.CodeSessionPaused, nobody},
	// Section 3 gives a handshake 30 s and names only codes that never travel; of those that do, this one fits best.
	{statePaired, handshakeOver, stateClosed, sbrp.CodeSessionExpired, sbrp.CodeSessionEnded},
}

// next returns the row for e in state s; false if nothing is to happen.
func (s state) next(e event) (transition, bool) {
	for _, t := range transitions {
		if t.state == s && t.event == e {
			return t, true
		}
	}
	return transition{}, false
}

// codeTexts are the texts of the Control frames to clients. They hold no identifier (spec section 5).
var codeTexts = map[sbrp.Code]string{
	sbrp.CodeDaemonOffline:  "the daemon is not connected",
	sbrp.CodeSessionPaused:  "the daemon's connection was lost; it has some time to come back",
	sbrp.CodeSessionPending: "the daemon's connection is back; waiting for its word about this session",
	sbrp.CodeSessionResumed: "the daemon goes on with this session",
	sbrp.CodeSessionExpired: "the session is over; open a new one",
	sbrp.CodeBackpressure:   "this connection does not read fast enough",
	sbrp.CodeInternalError:  "the relay failed; try again",
	sbrp.CodeRateLimited:    "this connection sends faster than it may; it is read from more slowly",
}

// forClient returns the Control frame that tells a client a code about its session.
func forClient(id sbrp.SessionID, code sbrp.Code) []byte {
	return sbrp.AppendControl(nil, id, code, codeTexts[code])
}

// forDaemon returns the Control frame that tells a daemon a code about a session. It has no text: a daemon may get as many of
// them at once as it has sessions, and DaemonQueue has to hold them.
func forDaemon(id sbrp.SessionID, code sbrp.Code) []byte {
	return sbrp.AppendControl(nil, id, code, "")
}
