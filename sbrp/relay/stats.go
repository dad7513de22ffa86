package relay

import (
	"sync/atomic"

	"culvert/sbrp"
)

// stats are the server's counters.
type stats struct {
	clients, daemons atomic.Int64
	sessions         [stateCount]atomic.Int64

	toDaemon, toClient flow

	discarded [discardCount]atomic.Uint64
	closes    [len(terminalCodes) + 1]atomic.Uint64 // the last: without a code

	paused, resumed, expired atomic.Uint64
	refused                  [refusalCount]atomic.Uint64
	dead, panics             atomic.Uint64
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
	refusedLimit
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

	Pauses, Resumes, Expiries uint64 // of sessions

	RefusedTokens    uint64 // 401
	RefusedForbidden uint64 // 403
	RefusedConflicts uint64 // 409
	RefusedLimits    uint64 // 429
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
		RefusedInternal: st.refused[refusedInternal].Load(),
		Panics:          st.panics.Load(),
	}
	for i, c := range terminalCodes {
		n.Closes[c] = st.closes[i].Load()
	}
	n.Closes[nobody] = st.closes[len(terminalCodes)].Load()
	return n
}
