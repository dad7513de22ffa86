package relay

import (
	"errors"
	"sync/atomic"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

// stats are the server's counters.
type stats struct {
	clients, daemons atomic.Int64
	sessions         [stateCount]atomic.Int64

	toDaemon, toClient flow

	discarded [discardCount]atomic.Uint64
	closes    [len(terminalCodes) + 1]atomic.Uint64 // the last: without a code

	paused, resumed, expired   atomic.Uint64
	refused                    [refusalCount]atomic.Uint64
	handshakes, handshakesLate atomic.Uint64
	badTokens                  map[token.Rule]*atomic.Uint64 // never changed but for the counters
	dead, stuck, panics        atomic.Uint64
	slowed                     atomic.Uint64
}

// flow counts what was forwarded one way.
type flow struct{ frames, bytes atomic.Uint64 }

func (f *flow) add(n int) {
	f.frames.Add(1)
	f.bytes.Add(uint64(n))
}

// discard is why a frame was not forwarded although it broke no rule that ends a connection.
type discard uint8

const (
	discardUnknown   discard = iota // a daemon's frame for a session that is over or was never here
	discardNotPaired                // the session is paused or pending; in flight when a connection dropped
	discardHandshake                // a second HandshakeInit, a HandshakeAccept that nobody asked for
	discardCount
)

// refusal is why a connection was refused before the upgrade.
type refusal uint8

const (
	refusedToken refusal = iota // 401
	refusedForbidden
	refusedConflict
	refusedLimit   // 429: sessions of a daemon
	refusedAddress // 429: connections of an address
	refusedAccount // 429: connections of an account
	refusedRequest // no WebSocket, wrong path
	refusedDraining
	refusedInternal
	refusalCount
)

// terminalCodes are the codes that the relay ends connections with.
var terminalCodes = [...]sbrp.Code{
	sbrp.CodeDaemonOffline, sbrp.CodeSessionNotFound, sbrp.CodeSessionExpired, sbrp.CodeMalformedFrame, sbrp.CodePayloadTooLarge,
	sbrp.CodeInvalidFrameType, sbrp.CodeInvalidSessionID, sbrp.CodeDisallowedSender, sbrp.CodeInternalError, sbrp.CodeBackpressure,
}

// newBadTokens returns a counter for each rule that a token may break, and one for "", any other error.
func newBadTokens() map[token.Rule]*atomic.Uint64 {
	m := map[token.Rule]*atomic.Uint64{"": {}}
	for _, r := range token.Rules() {
		m[r] = &atomic.Uint64{}
	}
	return m
}

// badToken counts a token that was refused.
func (s *stats) badToken(err error) {
	n := s.badTokens[""]
	if te, ok := errors.AsType[*token.Error](err); ok && s.badTokens[te.Rule] != nil {
		n = s.badTokens[te.Rule]
	}
	n.Add(1)
}

// closed counts a connection that the relay ends with code.
func (s *stats) closed(code sbrp.Code) {
	for i, c := range terminalCodes {
		if c == code {
			s.closes[i].Add(1)
			return
		}
	}
	s.closes[len(terminalCodes)].Add(1)
}

// moved counts a session's change of state.
func (s *stats) moved(from state, t transition) {
	s.sessions[from].Add(-1)
	s.sessions[t.next].Add(1)
	switch {
	case t.event == handshakeOver:
		s.handshakesLate.Add(1)
		s.expired.Add(1)
	case t.toClient == sbrp.CodeSessionPaused:
		s.paused.Add(1)
	case t.toClient == sbrp.CodeSessionResumed:
		s.resumed.Add(1)
	case t.toClient == sbrp.CodeSessionExpired:
		s.expired.Add(1)
	}
}

// Snapshot is the state of a Server's counters. The numbers are read one after the other and may be a few frames apart. None
// is about a single peer.
type Snapshot struct {
	Clients, Daemons        int64 // WebSockets that are open
	Paired, Paused, Pending int64 // sessions

	FramesToDaemon, BytesToDaemon uint64 // forwarded, frame headers included
	FramesToClient, BytesToClient uint64

	DiscardedUnknown   uint64 // daemons' frames for sessions that are over
	DiscardedNotPaired uint64 // frames in flight when a connection dropped
	DiscardedHandshake uint64 // HandshakeInit or HandshakeAccept out of turn

	QueuedBytes int64                // waiting for clients
	Closes      map[sbrp.Code]uint64 // connections that the relay ended, by code; code 0: without one (going down, replaced)
	Dead        uint64               // connections cut because they were silent
	Stuck       uint64               // connections cut because a message did not arrive in time
	Slowed      uint64               // times that a reader waited because its peer was too fast

	Pauses, Resumes, Expiries uint64 // of sessions

	Handshakes        uint64 // HandshakeAccepts that were forwarded
	HandshakeTimeouts uint64 // sessions without one

	TokenFailures map[token.Rule]uint64 // by the rule that was broken; empty: none of them

	RefusedTokens    uint64 // 401
	RefusedForbidden uint64 // 403
	RefusedConflicts uint64 // 409
	RefusedLimits    uint64 // 429: as many sessions as the daemon may have
	RefusedAddresses uint64 // 429: as many connections as the address may have
	RefusedAccounts  uint64 // 429: as many connections as the account may have
	RefusedRequests  uint64 // 404, 426
	RefusedDraining  uint64 // 503
	RefusedInternal  uint64 // 500

	Panics uint64 // failures of the relay's own, each of which ended one connection
}

// Stats returns the counters.
func (s *Server) Stats() Snapshot {
	st := &s.stats
	n := Snapshot{
		Clients: st.clients.Load(), Daemons: st.daemons.Load(),
		Paired: st.sessions[statePaired].Load(), Paused: st.sessions[statePaused].Load(), Pending: st.sessions[statePending].Load(),
		FramesToDaemon: st.toDaemon.frames.Load(), BytesToDaemon: st.toDaemon.bytes.Load(),
		FramesToClient: st.toClient.frames.Load(), BytesToClient: st.toClient.bytes.Load(),
		DiscardedUnknown:   st.discarded[discardUnknown].Load(),
		DiscardedNotPaired: st.discarded[discardNotPaired].Load(),
		DiscardedHandshake: st.discarded[discardHandshake].Load(),
		QueuedBytes:        s.queued.Load(),
		Closes:             map[sbrp.Code]uint64{},
		Dead:               st.dead.Load(),
		Pauses:             st.paused.Load(), Resumes: st.resumed.Load(), Expiries: st.expired.Load(),
		RefusedTokens: st.refused[refusedToken].Load(), RefusedForbidden: st.refused[refusedForbidden].Load(),
		RefusedConflicts: st.refused[refusedConflict].Load(), RefusedLimits: st.refused[refusedLimit].Load(),
		RefusedRequests: st.refused[refusedRequest].Load(), RefusedDraining: st.refused[refusedDraining].Load(),
		RefusedInternal:  st.refused[refusedInternal].Load(),
		RefusedAddresses: st.refused[refusedAddress].Load(), RefusedAccounts: st.refused[refusedAccount].Load(),
		Stuck: st.stuck.Load(), Slowed: st.slowed.Load(),
		Handshakes: st.handshakes.Load(), HandshakeTimeouts: st.handshakesLate.Load(), TokenFailures: map[token.Rule]uint64{},
		Panics: st.panics.Load(),
	}
	for r, count := range st.badTokens {
		n.TokenFailures[r] = count.Load()
	}
	for i, c := range terminalCodes {
		n.Closes[c] = st.closes[i].Load()
	}
	n.Closes[nobody] = st.closes[len(terminalCodes)].Load()
	return n
}
