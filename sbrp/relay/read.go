package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"culvert/sbrp/wsconn"
)

// reader reads one peer's messages. Its owner is the connection's goroutine; silent and stuck are for Server.watch.
type reader struct {
	conn *wsconn.Conn
	pace *pacer
	// control frames of the WebSocket have a pacer of their own: they are also read by who closes the connection.
	controls *pacer
	// phase is even while the reader waits for the peer to begin a message, odd but not busy while one arrives; it
	// counts messages in its other bits, so that watch sees whether it is still the same one.
	phase atomic.Uint64
	busy  atomic.Bool // the reader waits for something else: the other side, or the peer's rate

	// Owned by watch.
	seen  uint64    // a phase in which a message arrives
	since time.Time // when watch saw it first
}

// start gives the reader its connection and its limits. tell says rate_limited to the peer; about WebSocket pings nobody is
// told: who floods with them does not listen either.
func (r *reader) start(conn *wsconn.Conn, limit Rate, st *stats, tell func()) {
	r.conn = conn
	r.pace = newPacer(limit, st, conn.Closed(), tell)
	r.controls = newPacer(Rate{Messages: limit.Messages}, st, conn.Closed(), func() {})
}

// read passes each message to handle until the connection ends or handle refuses one; ok then reports that the
// connection is to be ended with e. The message belongs to handle until it returns.
func (r *reader) read(handle func(msg []byte) error) (e ending, ok bool) {
	for {
		// An idle connection owns no buffer: it is borrowed when a message has begun.
		err := r.conn.Next()
		var c *chunk
		if err == nil {
			r.phase.Add(1)
			c = readChunk()
			c.n, err = r.conn.Read(c.b)
			r.phase.Add(1)
		}
		r.busy.Store(true)
		switch {
		case err == nil, errors.Is(err, wsconn.ErrTooLarge): // of a message that is too large the header still says what is wrong
			n := c.n
			err = handle(c.bytes())
			c.free()
			if err != nil {
				return endFor(err), true
			}
			r.pace.spend(n)
		case errors.Is(err, wsconn.ErrText):
			return endTextMessage(), true
		default:
			if c != nil {
				c.free()
			}
			return ending{}, false
		}
		r.busy.Store(false)
	}
}

// control notes a WebSocket ping or pong. The connection calls it while it reads.
func (r *reader) control() {
	r.busy.Store(true)
	r.controls.spend(0)
	r.busy.Store(false)
}

// silent returns how long nothing has come from a peer that we are waiting for. While its reader waits for something else, a
// slow daemon, the peer cannot be heard and counts as alive.
func (r *reader) silent(now time.Time) time.Duration {
	if r.busy.Load() {
		return 0
	}
	return now.Sub(r.conn.LastReceive())
}

// stuck returns for how long at least one message has been arriving. Bytes that trickle keep a connection from being silent, and
// would keep a message's buffer for ever.
func (r *reader) stuck(now time.Time) time.Duration {
	phase := r.phase.Load()
	if phase%2 == 0 {
		r.seen = 0
		return 0
	}
	if phase != r.seen {
		r.seen, r.since = phase, now
	}
	return now.Sub(r.since)
}
