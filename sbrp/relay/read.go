package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"culvert/sbrp/wsconn"
)

// read passes each message to handle until the connection ends or handle refuses one; ok then reports that the
// connection is to be ended with e. reading is true while it waits for the peer. The message belongs to handle until it returns.
func read(conn *wsconn.Conn, reading *atomic.Bool, handle func(msg []byte) error) (e ending, ok bool) {
	for {
		// An idle connection owns no buffer: it is borrowed when a message has begun.
		reading.Store(true)
		err := conn.Next()
		var c *chunk
		if err == nil {
			c = readChunk()
			c.n, err = conn.Read(c.b)
		}
		reading.Store(false)
		switch {
		case err == nil, errors.Is(err, wsconn.ErrTooLarge): // of a message that is too large the header still says what is wrong
			err = handle(c.bytes())
			c.free()
			if err != nil {
				return endFor(err), true
			}
		case errors.Is(err, wsconn.ErrText):
			return endTextMessage(), true
		default:
			if c != nil {
				c.free()
			}
			return ending{}, false
		}
	}
}

// silence returns how long nothing has come from a peer that we are waiting for. While its reader waits for something else, a
// slow daemon, the peer cannot be heard and counts as alive.
func silence(conn *wsconn.Conn, reading *atomic.Bool, now time.Time) time.Duration {
	if !reading.Load() {
		return 0
	}
	return now.Sub(conn.LastReceive())
}
