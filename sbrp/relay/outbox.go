package relay

import (
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// outbox is the way to a client. The goroutine that reads from the daemon serves all its clients and never waits for one: what
// the client's socket does not take at once is queued, and a goroutine that lives as long as the queue writes it. A
// queue that is full ends the client (backpressure); nothing is dropped without that.
//
// Exactly one goroutine is "busy": it alone writes to the connection. All methods may be called by any goroutine.
type outbox struct {
	srv  *Server
	conn *wsconn.Conn
	done chan struct{} // closed when finish has closed the connection

	mu      sync.Mutex
	queue   []*chunk // the first is queue[0]
	bytes   int      // cost of the queue
	busy    bool
	begun   bool // a part of a message is in conn's memory
	dead    bool // the connection is gone; everything is refused
	closing bool // finish was called: what is queued goes out, nothing is added
	end     ending
	timer   *time.Timer // bounds closing
}

// verdict is what became of a frame.
type verdict uint8

const (
	sent   verdict = iota // written or queued
	full                  // neither; the client must be ended
	closed                // neither; the client is being ended, or has gone
)

func newOutbox(srv *Server, conn *wsconn.Conn) *outbox {
	return &outbox{srv: srv, conn: conn, done: make(chan struct{})}
}

// send writes frame if it can without waiting, and queues a copy if not. frame is not kept.
func (o *outbox) send(frame []byte) verdict {
	o.mu.Lock()
	if o.dead || o.closing {
		o.mu.Unlock()
		return closed
	}
	if o.busy || len(o.queue) > 0 {
		defer o.mu.Unlock()
		return o.enqueue(frame)
	}
	o.busy = true
	o.mu.Unlock()
	outcome, err := o.conn.TryWrite(frame)
	o.mu.Lock()
	switch {
	case err != nil:
		o.fail()
		o.busy = false
		o.mu.Unlock()
		o.kick() // in case finish is waiting
		return closed
	case outcome == wsconn.Begun:
		o.begin()
	case outcome == wsconn.Refused:
		c := copyChunk(frame)
		o.charge(c)
		o.queue = append([]*chunk{c}, o.queue...) // others may have queued meanwhile, behind this one
	}
	if !o.begun && len(o.queue) == 0 && !o.closing {
		o.busy = false
		o.mu.Unlock()
		return sent
	}
	o.mu.Unlock()
	o.srv.wg.Go(o.drain)
	return sent
}

// push queues a Control frame without writing it: it may be called under a lock. The caller calls kick afterwards.
func (o *outbox) push(frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead || o.closing {
		return
	}
	if o.enqueue(frame) == full {
		o.finishLocked(endWith(sbrp.CodeBackpressure, 0))
	}
}

// finish ends the connection: what is queued goes out (unless the ending drops it), then the Control frame, then the
// WebSocket close, all of it within the write timeout. It may be called under a lock and more than once; the first
// counts. The caller calls kick afterwards.
func (o *outbox) finish(e ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finishLocked(e)
}

func (o *outbox) finishLocked(e ending) {
	if o.closing {
		return
	}
	if e.drop {
		o.clear()
	}
	if frame := e.control(); len(frame) > 0 && !o.dead {
		c := copyChunk(frame)
		o.charge(c)
		o.queue = append(o.queue, c)
	}
	o.srv.stats.closed(e.code)
	o.closing, o.end = true, e
	o.timer = time.AfterFunc(o.srv.cfg.WriteTimeout, o.conn.CloseNow)
}

// kick starts writing what push and finish have left.
func (o *outbox) kick() {
	o.mu.Lock()
	if o.busy || (len(o.queue) == 0 && !o.closing) {
		o.mu.Unlock()
		return
	}
	o.busy = true
	o.mu.Unlock()
	o.srv.wg.Go(o.drain)
}

// drain writes the queue, waiting for the client, until it is empty. The caller has made the outbox busy.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		begun := o.begun
		var c *chunk
		if !begun {
			if c = o.pop(); c == nil {
				o.idle()
				return
			}
		}
		o.mu.Unlock()
		var err error
		if begun {
			err = o.conn.Flush()
		} else {
			err = o.conn.Write(c.bytes())
			c.free()
		}
		o.mu.Lock()
		if begun {
			o.flushed()
		}
		if err != nil {
			o.fail()
			o.idle()
			return
		}
		o.mu.Unlock()
	}
}

// idle ends being busy, or closes the connection if that is what is left to do. It unlocks mu.
func (o *outbox) idle() {
	if !o.closing {
		o.busy = false
		o.mu.Unlock()
		return
	}
	// Busy for ever: nobody writes any more.
	e := o.end
	o.mu.Unlock()
	o.conn.Close(e.status, e.reason)
	o.timer.Stop()
	close(o.done)
}

// abandon is for who reads from the client and has found it gone: it waits until the connection is closed, by finish if that
// has begun.
func (o *outbox) abandon() {
	o.mu.Lock()
	closing := o.closing
	if !closing {
		o.dead = true
	}
	o.mu.Unlock()
	if closing {
		o.kick()
		<-o.done
		return
	}
	o.conn.CloseNow()
	o.mu.Lock()
	o.clear()
	o.mu.Unlock()
}

// The following need mu.

// enqueue appends a copy of frame if there is room.
func (o *outbox) enqueue(frame []byte) verdict {
	c := copyChunk(frame)
	if o.bytes+c.cost() > o.srv.queueLimit() && len(o.queue) > 0 {
		c.free()
		return full
	}
	o.charge(c)
	o.queue = append(o.queue, c)
	return sent
}

func (o *outbox) charge(c *chunk) {
	o.bytes += c.cost()
	o.srv.queued.Add(int64(c.cost()))
}

func (o *outbox) uncharge(c *chunk) {
	o.bytes -= c.cost()
	o.srv.queued.Add(-int64(c.cost()))
}

// begin notes that a part of a message is in conn's memory, and what that may cost.
func (o *outbox) begin() {
	o.begun = true
	o.bytes += chunkSizes[largestChunk]
	o.srv.queued.Add(int64(chunkSizes[largestChunk]))
}

func (o *outbox) flushed() {
	o.begun = false
	o.bytes -= chunkSizes[largestChunk]
	o.srv.queued.Add(-int64(chunkSizes[largestChunk]))
}

// pop takes the first chunk; nil if there is none.
func (o *outbox) pop() *chunk {
	if len(o.queue) == 0 {
		return nil
	}
	c := o.queue[0]
	o.queue[0] = nil
	if o.queue = o.queue[1:]; len(o.queue) == 0 {
		o.queue = nil // a burst must not leave an idle connection with a large array
	}
	o.uncharge(c)
	return c
}

func (o *outbox) clear() {
	for c := o.pop(); c != nil; c = o.pop() {
		c.free()
	}
}

// fail notes that the connection is gone.
func (o *outbox) fail() {
	o.dead = true
	o.clear()
}
