package relay

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// errDaemonGone: the daemon's connection ended while a client's frame waited for its turn. The frame is lost, as the protocol says
// of frames in flight.
var errDaemonGone = errors.New("daemon's connection is gone")

// trunk is the way to a daemon, which all its clients share. A client's reader writes its frame itself, holding the turn, and
// reads on only then: so each session has at most one frame here, turns are taken first come, first served, and a
// slow daemon slows its clients by TCP back pressure, nobody else. There is no queue of frames.
//
// The relay's own Control and Pong frames have a small queue, for the daemon's reader must never wait for the daemon to read.
// They go before any frame that is sent after they were pushed. All methods may be called by any goroutine.
type trunk struct {
	srv  *Server
	conn *wsconn.Conn
	done chan struct{} // closed when finish has closed the connection
	gone chan struct{} // closed when no turn will be given any more

	// turn is held by whoever writes. Senders that wait on a channel are served in order.
	turn chan struct{}

	mu      sync.Mutex
	control []byte      // frames, one after the other
	closing bool        // finish was called
	dead    bool        // abandon was called before finish; nobody writes any more
	end     ending      // of finish
	timer   *time.Timer // bounds closing
}

func newTrunk(srv *Server, conn *wsconn.Conn) *trunk {
	return &trunk{
		srv: srv, conn: conn,
		done: make(chan struct{}), gone: make(chan struct{}), turn: make(chan struct{}, 1),
	}
}

// send writes a client's frame. It blocks until the frames that came before are written and the system has taken this one;
// at most for the write timeout of each.
func (t *trunk) send(frame []byte) error {
	select {
	case t.turn <- struct{}{}:
	default:
		select {
		case t.turn <- struct{}{}:
		case <-t.gone:
			return errDaemonGone
		}
	}
	defer t.leave()
	select {
	case <-t.gone:
		return errDaemonGone
	default:
	}
	if err := t.writeControl(); err != nil { // nearly always nothing
		return err
	}
	return t.conn.Write(frame)
}

// push queues one of the relay's own frames without writing it: it may be called under a lock. The caller calls kick
// afterwards. A daemon that lets the queue grow past its limit does not read and is ended.
func (t *trunk) push(frame []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || t.dead {
		return
	}
	if len(t.control)+len(frame) > t.srv.cfg.DaemonQueue {
		t.control = nil
		t.finishLocked(endWith(sbrp.CodeBackpressure, 0))
		return
	}
	t.control = append(t.control, frame...)
}

// finish ends the connection: what push has queued, the Control frame, the WebSocket close, all of it within the write timeout. It
// may be called under a lock and more than once; the first counts. The caller calls kick afterwards.
func (t *trunk) finish(e ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finishLocked(e)
}

func (t *trunk) finishLocked(e ending) {
	if t.closing || t.dead {
		return
	}
	t.srv.stats.closed(e.code)
	t.control = append(t.control, e.control()...)
	t.closing, t.end = true, e
	close(t.gone)
	t.timer = time.AfterFunc(t.srv.cfg.WriteTimeout, t.conn.CloseNow)
}

// kick writes what push and finish have left, in a goroutine of its own if that would have to wait. Who holds the turn does
// it on leaving.
func (t *trunk) kick() {
	for {
		t.mu.Lock()
		closing, idle := t.closing, t.dead || len(t.control) == 0 && !t.closing
		t.mu.Unlock()
		if idle {
			return
		}
		select {
		case t.turn <- struct{}{}:
		default:
			return
		}
		if closing {
			t.srv.wg.Go(t.close) // keeps the turn for ever
			return
		}
		if !t.tryControl() {
			t.srv.wg.Go(t.drain)
			return
		}
		<-t.turn
	}
}

// leave gives the turn back, and sees to what was pushed meanwhile.
func (t *trunk) leave() {
	<-t.turn
	t.kick()
}

// tryControl writes the queue without waiting; false means that there is more to do, by drain. The caller has the turn.
func (t *trunk) tryControl() bool {
	for c := t.pop(); c != nil; c = t.pop() {
		outcome, err := t.conn.TryWrite(c.bytes())
		if err == nil && outcome == wsconn.Refused {
			t.mu.Lock()
			t.control = slices.Concat(c.bytes(), t.control)
			t.mu.Unlock()
		}
		c.free()
		switch {
		case err != nil:
			return true // the connection is gone, and whoever reads from it notices
		case outcome != wsconn.Written:
			return false
		}
	}
	return true
}

// drain writes the queue, waiting for the daemon, and gives the turn back.
func (t *trunk) drain() {
	defer t.leave()
	if t.conn.Flush() == nil {
		_ = t.writeControl() // the connection is gone, and whoever reads from it notices
	}
}

// writeControl writes the queue. The caller has the turn.
func (t *trunk) writeControl() error {
	for c := t.pop(); c != nil; c = t.pop() {
		err := t.conn.Write(c.bytes())
		c.free()
		if err != nil {
			return err
		}
	}
	return nil
}

// close writes the queue and closes the connection. The caller has the turn and keeps it.
func (t *trunk) close() {
	if t.conn.Flush() == nil {
		_ = t.writeControl() // the connection is being closed
	}
	t.conn.Close(t.end.status, t.end.reason)
	t.timer.Stop()
	close(t.done)
}

// abandon is for who reads from the daemon and has found it gone: it waits until the connection is closed.
func (t *trunk) abandon() {
	t.mu.Lock()
	closing := t.closing
	if !closing && !t.dead {
		t.dead = true
		close(t.gone)
	}
	t.mu.Unlock()
	if closing {
		t.kick()
		<-t.done
		return
	}
	t.conn.CloseNow()
}

// pop takes the first queued frame; nil if there is none.
func (t *trunk) pop() *chunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.control) == 0 {
		return nil
	}
	n := sbrp.HeaderSize + int(binary.BigEndian.Uint32(t.control[1:5]))
	c := copyChunk(t.control[:n])
	if t.control = t.control[n:]; len(t.control) == 0 {
		t.control = nil
	}
	return c
}
