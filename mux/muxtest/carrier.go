package muxtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// The room that memory carriers ask for, as SBRP's do.
const (
	Head       = 25
	Tail       = 16
	MaxMessage = 65508

	// QueueBytes is how much a direction holds before Send blocks.
	QueueBytes = 1 << 20
)

// Action is what a fault does to one message. The zero value delivers it.
type Action struct {
	Drop  bool          // it is lost
	Twice bool          // it is delivered twice
	Delay time.Duration // it comes so much later, and others may overtake it
	Hold  int           // it comes after so many further messages of its direction, or never
	Cut   bool          // the carrier ends instead, at both ends
	Pause time.Duration // the path goes down with this message lost, and comes back after so long as the same carrier
}

// Fault decides on message n (from 0, counted for each direction) of the end with this side (0 or 1). It is called under
// a lock of the pair and must not call back.
type Fault func(side, n int, msg []byte) Action

// Pair is two connected carriers in memory.
type Pair struct {
	A, B *Carrier
}

// Carrier is one end of a pair. It satisfies mux.Carrier.
type Carrier struct {
	side  int
	other *Carrier
	in    queue
	hints *hints // shared by both ends
	fault Fault
	limit int // largest message

	transcript [32]byte

	mu     sync.Mutex // guards what follows
	sent   int
	held   []heldMessage
	timers []*time.Timer
	failed error // what Receive and Send return once closed

	// Reason is what Close was called with first. It is safe to read when Receive has failed.
	reason string
}

type heldMessage struct {
	after int
	msg   []byte
}

// ErrCut is what both ends see of a carrier that a fault has cut.
var ErrCut = errors.New("carrier cut by the test")

// NewPair makes a pair with a random transcript. fault may be nil.
func NewPair(fault Fault) *Pair {
	var t [32]byte
	rand.Read(t[:]) // never fails
	return NewPairOf(t, MaxMessage, fault)
}

// NewPairOf makes a pair with this transcript and largest message.
func NewPairOf(transcript [32]byte, maxMessage int, fault Fault) *Pair {
	h := &hints{up: true, changed: make(chan struct{})}
	a := &Carrier{side: 0, hints: h, fault: fault, limit: maxMessage, transcript: transcript}
	b := &Carrier{side: 1, hints: h, fault: fault, limit: maxMessage, transcript: transcript}
	a.other, b.other = b, a
	for _, c := range []*Carrier{a, b} {
		c.in.init()
	}
	return &Pair{A: a, B: b}
}

// Cut ends both ends with an error.
func (p *Pair) Cut(err error) {
	p.A.fail(err)
	p.B.fail(err)
}

// SetPath changes the hint at both ends: whether the path is up, and how often it has come back. While it is down
// messages are dropped.
func (p *Pair) SetPath(up bool, resumes uint32) { p.A.hints.set(up, resumes) }

// Lie changes the hint without an effect on messages.
func (p *Pair) Lie(up bool, resumes uint32) { p.A.hints.lie(up, resumes) }

// Overhead is Head, Tail and the largest message.
func (c *Carrier) Overhead() (head, tail, max int) { return Head, Tail, c.limit }

// Transcript is the same at both ends.
func (c *Carrier) Transcript() [32]byte { return c.transcript }

// Path gives the hint.
func (c *Carrier) Path() (up bool, resumes uint32, changed <-chan struct{}) { return c.hints.get() }

// Send scribbles over head and tail, as a sealing carrier would, and passes a copy on.
func (c *Carrier) Send(buf []byte) error {
	switch {
	case len(buf) <= Head || len(buf)-Head > c.limit:
		return fmt.Errorf("muxtest: message of %d bytes", len(buf)-Head)
	case cap(buf)-len(buf) < Tail:
		return fmt.Errorf("muxtest: %d bytes of room behind the message, %d wanted", cap(buf)-len(buf), Tail)
	}
	msg := buf[Head:]
	if c.fault == nil {
		if err := c.failure(); err != nil || !c.hints.passes() {
			return err
		}
		c.other.in.push(msg, true)
		scribble(buf)
		return c.failure()
	}
	c.mu.Lock()
	if c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
	}
	n := c.sent
	c.sent++
	act := c.fault(c.side, n, msg)
	cut := act.Cut
	switch {
	case act.Cut, act.Drop, !c.hints.passes():
	case act.Pause > 0:
		c.hints.pause()
		c.timers = append(c.timers, time.AfterFunc(act.Pause, c.hints.resume))
	case act.Hold > 0:
		c.held = append(c.held, heldMessage{n + act.Hold, clone(msg)})
	case act.Delay > 0:
		late := clone(msg)
		c.timers = append(c.timers, time.AfterFunc(act.Delay, func() { c.other.in.push(late, false) }))
	default:
		c.other.in.push(msg, false)
		if act.Twice {
			c.other.in.push(msg, false)
		}
	}
	rest := c.held[:0]
	for _, h := range c.held {
		if h.after <= n {
			c.other.in.push(h.msg, false)
		} else {
			rest = append(rest, h)
		}
	}
	c.held = rest
	c.mu.Unlock()
	scribble(buf)
	if cut {
		c.fail(ErrCut)
		c.other.fail(ErrCut)
		return ErrCut
	}
	c.other.in.waitRoom()
	return nil
}

func scribble(buf []byte) {
	full := buf[:len(buf)+Tail]
	for i := range Head {
		full[i] = 0xAA
	}
	for i := len(buf); i < len(full); i++ {
		full[i] = 0xBB
	}
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// Receive gives the next message, in the middle of buf.
func (c *Carrier) Receive(buf []byte) ([]byte, error) {
	if len(buf) < Head+c.limit+Tail {
		return nil, fmt.Errorf("muxtest: receive buffer of %d bytes", len(buf))
	}
	n, ok := c.in.pop(buf[Head:])
	if !ok {
		if err := c.failure(); err != nil {
			return nil, err
		}
		return nil, net.ErrClosed
	}
	return buf[Head : Head+n], nil
}

// Close ends this end; the other sees it as closed after it has received what is on its way.
func (c *Carrier) Close(reason string) error {
	c.mu.Lock()
	first := c.failed == nil
	if first {
		c.reason = reason
	}
	c.mu.Unlock()
	c.fail(net.ErrClosed)
	c.other.hangUp()
	return nil
}

// Reason is what Close was called with first.
func (c *Carrier) Reason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// fail ends this end with an error; what was not received yet is lost.
func (c *Carrier) fail(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	for _, t := range c.timers {
		t.Stop()
	}
	c.timers, c.held = nil, nil
	c.mu.Unlock()
	c.in.close(true)
	c.other.in.release()
}

// hangUp ends this end because the other has closed; what is on its way still comes.
func (c *Carrier) hangUp() {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = fmt.Errorf("closed by the other end: %w", net.ErrClosed)
	}
	c.mu.Unlock()
	c.in.close(false)
}

func (c *Carrier) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
