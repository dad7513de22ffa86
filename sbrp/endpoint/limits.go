package endpoint

import "time"

// Of the specification (section 3, section 6).
const (
	// DefaultHandshakeTimeout runs at the client from WebSocket open, at the
	// daemon from HandshakeInit.
	DefaultHandshakeTimeout = 30 * time.Second
	// DefaultPingInterval is how often an endpoint sends an SBRP Ping.
	DefaultPingInterval = 15 * time.Second
	// DefaultDeadAfter is the silence after which a WebSocket is dead.
	DefaultDeadAfter = 30 * time.Second
	// DefaultGrace is how long the relay keeps a session whose daemon is away.
	DefaultGrace = 60 * time.Second
)

// Our own.
const (
	// stallAfter is the silence after something was written that makes an
	// endpoint ask with a Ping; stallGrace is how long it then waits. Their sum
	// is below the 10 s in which a dead path must be noticed while data waits.
	stallAfter = 5 * time.Second
	stallGrace = 4 * time.Second
	// probeAgain is how long after a doubt the relay is asked a second time: what
	// comes right after a network change may have been on the way before it.
	probeAgain = time.Second

	// pausedMargin is added to the grace: the longest time that a client holds
	// a paused session. A relay that is honest ends it by itself before.
	pausedMargin = 30 * time.Second
	// graceMargin is added to the grace at the daemon. It must not give up a
	// session that the relay still holds, so it waits a little longer.
	graceMargin = 15 * time.Second
	// confirmTimeout is how long after Signal(ready) a daemon waits at least
	// for a sign that the relay still has the session. The relay itself gives
	// a pending session 10 s.
	confirmTimeout = 30 * time.Second

	// defaultMaxSessions bounds the sessions of one daemon. Handshakes cost
	// 0.2 ms each, an idle session some KiB.
	defaultMaxSessions = 1024
	// handshakeWorkers bounds how many handshakes are computed at once; a flood
	// then takes at most that share of the machine, and each waits its turn to
	// write, never the reader.
	handshakeWorkers = 4
	// handshakeQueue bounds the HandshakeInits that wait for a worker: as many
	// as a relay restart brings at once. What is above is refused with
	// Signal(close, policy), which a client answers by coming later.
	handshakeQueue = 1024

	// queueBytes bounds one session's receive queue at the daemon. The link above
	// lets a client have at most 16 MiB on the way, and again as much when it
	// sends anew after a gap. More is misbehaviour.
	queueBytes = 32 << 20
	// queueFrames bounds it in frames, which guards the time to drain it.
	queueFrames = 65536
	// defaultQueueBudget bounds the receive queues of all sessions together.
	// When it is spent the session that holds most is ended.
	defaultQueueBudget = 256 << 20

	// outboxLimit bounds the Pongs that wait to be written, and the refusals. Pongs
	// beyond it are dropped: the relay asks again.
	outboxLimit = 256
	// outboxSignals bounds the Signals that wait, on top of four for each session
	// that may be: one unasked and one asked for after a reconnect, one at the end,
	// and as many again for sessions that the relay holds and we do not know. Beyond
	// it the WebSocket is given up, because a relay that asks for signals and does
	// not read them is of no use.
	outboxSignals = 1024

	// malformedLimit is the count of messages that are no frames after which a
	// daemon gives up one WebSocket.
	malformedLimit = 64
	// forgottenSize is how many ended session ids a daemon remembers, so that
	// it says Signal(close) for each only once.
	forgottenSize = 256

	// throttleMin and throttleMax bound one pause after rate_limited; it
	// doubles with each that comes within throttleForget of the last.
	throttleMin    = 100 * time.Millisecond
	throttleMax    = 5 * time.Second
	throttleForget = 10 * time.Second

	// stableAfter is how long a WebSocket must have lived not to count as a flap:
	// long enough that a relay which takes us and throws us out is not stormed,
	// short enough that one which is restarted often finds us at once. flapGrowth is
	// how the pause after a flap grows from one to the next.
	stableAfter = 5 * time.Second
	flapGrowth  = 1.5
	// evictedPause is the least pause after the relay closed the WebSocket as a
	// matter of policy: a second process with the same identity has taken our
	// place, or we broke a rule. Coming back at once would make two daemons chase
	// each other.
	evictedPause = 5 * time.Second
	// maxRetryAfter bounds what a relay's Retry-After can make us wait.
	maxRetryAfter = 2 * time.Minute
	// connectTimeout bounds one call of DaemonConfig.Connect.
	connectTimeout = 60 * time.Second
	// presenceMargin is how long a presence token must still be valid to be
	// used again; renewal starts at a tenth of its life before expiry, at least
	// this.
	presenceMargin = 60 * time.Second
	// kickSettle is the age below which an attempt to connect survives a Kick.
	kickSettle = time.Second
	// shutdownTimeout bounds how long Run writes Signal(close, shutdown).
	shutdownTimeout = 2 * time.Second
)

// nonZero returns d, or def when d is zero.
func nonZero(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
