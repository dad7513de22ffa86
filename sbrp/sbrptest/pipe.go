package sbrptest

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp/wsconn"
)

// pipeDepth is how many messages a direction of a Pipe holds before writers
// wait, as a socket's buffers do.
const pipeDepth = 16

// Conn is one message connection: a *wsconn.Conn or an end of a Pipe.
type Conn interface {
	Read(buf []byte) (int, error)
	Write(frame []byte) error
	LastReceive() time.Time
	Close(code wsconn.StatusCode, reason string)
	CloseNow()
}

var (
	_ Conn = (*wsconn.Conn)(nil)
	_ Conn = (*PipeEnd)(nil)
)

// PipeEnd is an end of a connection in memory that behaves as a *wsconn.Conn. It
// works in synctest bubbles: whoever blocks in it blocks durably.
type PipeEnd struct {
	in, out *lane
	last    atomic.Int64 // of LastReceive, nanoseconds since start
	start   time.Time
}

// lane is one direction.
type lane struct {
	messages chan []byte
	closed   chan struct{} // by either end
	once     sync.Once

	mu      sync.Mutex
	code    wsconn.StatusCode // guarded by mu; 0 if it was cut
	reason  string            // guarded by mu
	aborted bool              // guarded by mu; the reader's own end was closed
}

func newLane() *lane {
	return &lane{messages: make(chan []byte, pipeDepth), closed: make(chan struct{})}
}

// end closes the lane.
func (l *lane) end(code wsconn.StatusCode, reason string, aborted bool) {
	l.once.Do(func() {
		l.mu.Lock()
		l.code, l.reason, l.aborted = code, reason, aborted
		l.mu.Unlock()
		close(l.closed)
	})
}

// Pipe returns the two ends of a connection.
func Pipe() (a, b *PipeEnd) {
	x, y := newLane(), newLane()
	now := time.Now()
	return &PipeEnd{in: x, out: y, start: now}, &PipeEnd{in: y, out: x, start: now}
}

// Read blocks for a message. What the other end wrote before it closed is read
// first.
func (p *PipeEnd) Read(buf []byte) (int, error) {
	select {
	case m := <-p.in.messages:
		return p.take(buf, m)
	default:
	}
	select {
	case m := <-p.in.messages:
		return p.take(buf, m)
	case <-p.in.closed:
	}
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	switch {
	case p.in.aborted:
		return 0, fmt.Errorf("read message: %w", net.ErrClosed)
	case p.in.code == 0:
		return 0, fmt.Errorf("read message: %w", wsconn.ErrLost)
	}
	select {
	case m := <-p.in.messages: // written between the two looks
		return p.take(buf, m)
	default:
		return 0, fmt.Errorf("read message: %w", &wsconn.CloseError{Code: p.in.code, Reason: p.in.reason})
	}
}

func (p *PipeEnd) take(buf, m []byte) (int, error) {
	p.last.Store(int64(time.Since(p.start)))
	n := copy(buf, m)
	if len(m) >= len(buf) { // as a Conn, which reads until its buffer is full
		return n, wsconn.ErrTooLarge
	}
	return n, nil
}

// Write sends a message; it blocks while pipeDepth of them wait, for at most
// wsconn.DefaultWriteTimeout.
func (p *PipeEnd) Write(frame []byte) error {
	select {
	case <-p.out.closed:
		return fmt.Errorf("write message: %w", net.ErrClosed)
	default:
	}
	m := append([]byte(nil), frame...)
	select {
	case p.out.messages <- m:
		return nil
	default:
	}
	t := time.NewTimer(wsconn.DefaultWriteTimeout)
	defer t.Stop()
	select {
	case p.out.messages <- m:
		return nil
	case <-p.out.closed:
		return fmt.Errorf("write message: %w", net.ErrClosed)
	case <-t.C:
		p.CloseNow()
		return fmt.Errorf("write message: timeout: %w", wsconn.ErrLost)
	}
}

// LastReceive is when the last message was read.
func (p *PipeEnd) LastReceive() time.Time { return p.start.Add(time.Duration(p.last.Load())) }

// Close ends the connection; the other end reads what was written and then the
// code.
func (p *PipeEnd) Close(code wsconn.StatusCode, reason string) {
	p.out.end(code, reason, false)
	p.in.end(code, reason, true)
}

// CloseNow cuts the connection.
func (p *PipeEnd) CloseNow() {
	p.out.end(0, "", false)
	p.in.end(0, "", true)
}
