package endpoint

import "sync/atomic"

// sessionStats counts what a session saw.
type sessionStats struct {
	messagesIn, bytesIn   atomic.Uint64
	messagesOut, bytesOut atomic.Uint64

	dropped         atomic.Uint64
	replayed        atomic.Uint64
	forged          atomic.Uint64
	misdirected     atomic.Uint64
	staleHints      atomic.Uint64
	unknownControls atomic.Uint64
	rateLimited     atomic.Uint64
	pongsDropped    atomic.Uint64
}

func (s *sessionStats) received(n int) { s.messagesIn.Add(1); s.bytesIn.Add(uint64(n)) }
func (s *sessionStats) sent(n int)     { s.messagesOut.Add(1); s.bytesOut.Add(uint64(n)) }

// SessionStats is what a session has counted since its handshake. Bytes are of
// plaintext.
type SessionStats struct {
	MessagesIn, BytesIn   uint64
	MessagesOut, BytesOut uint64

	Dropped         uint64 // messages not sent because the path was down, or lost with the WebSocket
	Replayed        uint64 // Data frames repeated or too old, dropped
	Forged          uint64 // Data frames that did not authenticate; the first ends the session
	Misdirected     uint64 // well-formed frames that had no business here, dropped
	StaleHints      uint64 // pause hints that did not fit the session's state, ignored
	UnknownControls uint64 // Control frames with a code outside the protocol, ignored
	RateLimited     uint64 // rate_limited received
	PongsDropped    uint64 // Pings left unanswered because too many answers waited
}

// Stats returns the session's counters.
func (s *Session) Stats() SessionStats {
	c := &s.stats
	return SessionStats{
		MessagesIn: c.messagesIn.Load(), BytesIn: c.bytesIn.Load(),
		MessagesOut: c.messagesOut.Load(), BytesOut: c.bytesOut.Load(),
		Dropped:         c.dropped.Load(),
		Replayed:        c.replayed.Load(),
		Forged:          c.forged.Load(),
		Misdirected:     c.misdirected.Load(),
		StaleHints:      c.staleHints.Load(),
		UnknownControls: c.unknownControls.Load(),
		RateLimited:     c.rateLimited.Load(),
		PongsDropped:    c.pongsDropped.Load(),
	}
}

// daemonStats counts what a daemon saw outside its sessions.
type daemonStats struct {
	connects, losses   atomic.Uint64
	handshakes         atomic.Uint64
	handshakesRefused  atomic.Uint64
	handshakesRepeated atomic.Uint64
	malformed          atomic.Uint64
	unknownSession     atomic.Uint64
	misdirected        atomic.Uint64
	unknownControls    atomic.Uint64
	rateLimited        atomic.Uint64
	overflows          atomic.Uint64
	pongsDropped       atomic.Uint64
}

// DaemonStats is what a daemon has counted since it was made, and two gauges.
type DaemonStats struct {
	Sessions    int   // now
	QueuedBytes int64 // memory that receive queues hold now

	Connects, Losses   uint64 // WebSockets opened, lost
	Handshakes         uint64 // completed
	HandshakesRefused  uint64 // too many, too slow or invalid
	HandshakesRepeated uint64 // HandshakeInit for a session that exists, dropped
	Malformed          uint64 // messages that are no frames, dropped
	UnknownSession     uint64 // Data and Control frames for sessions that are not here
	Misdirected        uint64 // well-formed frames that had no business here, dropped
	UnknownControls    uint64 // Control frames with a code outside the protocol, ignored
	RateLimited        uint64 // rate_limited received
	Overflows          uint64 // sessions ended because they sent more than may wait
	PongsDropped       uint64 // Pings left unanswered because too many answers waited
}

// Stats returns the daemon's counters. Safe for concurrent use.
func (d *Daemon) Stats() DaemonStats {
	d.mu.Lock()
	n := len(d.sessions)
	d.mu.Unlock()
	c := &d.stats
	return DaemonStats{
		Sessions:           n,
		QueuedBytes:        d.queued.Load(),
		Connects:           c.connects.Load(),
		Losses:             c.losses.Load(),
		Handshakes:         c.handshakes.Load(),
		HandshakesRefused:  c.handshakesRefused.Load(),
		HandshakesRepeated: c.handshakesRepeated.Load(),
		Malformed:          c.malformed.Load(),
		UnknownSession:     c.unknownSession.Load(),
		Misdirected:        c.misdirected.Load(),
		UnknownControls:    c.unknownControls.Load(),
		RateLimited:        c.rateLimited.Load(),
		Overflows:          c.overflows.Load(),
		PongsDropped:       c.pongsDropped.Load(),
	}
}
