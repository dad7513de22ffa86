package mux

import (
	"context"
	"fmt"
	"time"
)

// handshake says HELLO on a carrier, takes the answer, and attaches the carrier to the link that goes on, or to a new one.
func (c *Client) handshake(ctx context.Context, carrier Carrier) (*link, *attachment, error) {
	if err := checkCarrier(carrier); err != nil {
		return nil, nil, err
	}
	guard := startGuard(ctx, c.life, carrier)
	defer guard.stop()

	c.mu.Lock()
	l := c.link
	c.attempt++
	hello := Hello{
		Version: protocolVersion, Key: c.cfg.Key, Name: c.cfg.Name, Program: c.cfg.Program, HoldTime: c.limits.hold,
		Attempt: c.attempt, Limit: uint64(c.limits.windowMin), Transcript: carrier.Transcript(),
	}
	c.mu.Unlock()
	var attempt uint64
	if l != nil {
		var err error
		// The limit stays that of a new link: a daemon that does not have this one any more might take its limit for the
		// new one's. A daemon that has it keeps what it knew, and the first ACK tells more.
		if attempt, hello.Received, _, err = l.begin(); err != nil {
			l, hello.Received = nil, 0 // it has ended
		} else {
			hello.LinkID = l.id
			defer l.fallBack()
		}
	}
	if c.cfg.Pairing != nil {
		hello.Pairing = c.cfg.Pairing(hello.Transcript)
	}
	err := sendRecord(carrier, func(b []byte) ([]byte, error) { return appendHello(b, hello, c.cfg.Sign) })
	if err != nil {
		return nil, nil, guard.explain(fmt.Errorf("send HELLO: %w", err))
	}
	w, err := c.answer(carrier)
	if err != nil {
		c.refused(l, err)
		return nil, nil, guard.explain(err)
	}
	// Nothing of the answer is used before the daemon has shown that it knows the pairing code.
	if len(hello.Pairing) > 0 {
		if err := c.cfg.CheckPairing(hello.Transcript, w.Pairing); err != nil {
			return nil, nil, fmt.Errorf("check the daemon's pairing proof: %w", err)
		}
	}
	guard.stop() // from here on the carrier is the link's, whose end has to be told on it
	att, l, err := c.welcomed(carrier, l, attempt, w)
	if err != nil {
		return nil, nil, err
	}
	return l, att, nil
}

// answer waits for WELCOME. What else comes before it is data that overtook it, and will come again.
func (c *Client) answer(carrier Carrier) (Welcome, error) {
	for range maxStray {
		msg, m, err := receiveMessage(carrier)
		if err != nil {
			return Welcome{}, fmt.Errorf("wait for WELCOME: %w", err)
		}
		r, _, err := parseRecord(msg)
		var w Welcome
		done := true
		switch {
		case err != nil:
		case r.typ == recWelcome:
			w, err = parseWelcome(r.data)
		case r.typ == recRefuse:
			err = parseRefuse(r.data)
		default:
			done = false
		}
		m.put()
		if done {
			return w, err
		}
	}
	return Welcome{}, protocolError("%d messages and no WELCOME", maxStray)
}

// refused ends the held link when the daemon's refusal is final.
func (c *Client) refused(l *link, err error) {
	if r, ok := asRefused(err); ok && l != nil && r.Code.permanent() {
		l.end(&LinkError{Code: CodeRevoked, Text: r.Error()}, false)
	}
}

// welcomed attaches the carrier to the link of a WELCOME.
func (c *Client) welcomed(carrier Carrier, l *link, attempt uint64, w Welcome) (*attachment, *link, error) {
	if w.Resumed {
		if l == nil || w.LinkID != l.id {
			return nil, nil, protocolError("daemon resumes a link that was not asked for")
		}
		c.setWelcome(w) // before the event that tells of it
		att, err := l.attach(attempt, carrier, w.Received, w.Limit)
		if err != nil {
			if l.err() == nil {
				l.end(&LinkError{Code: CodeProtocol, Text: err.Error()}, false)
			}
			return nil, nil, err
		}
		return att, l, nil
	}
	if l != nil {
		l.end(&LinkError{Code: CodeUnknown, Text: "the daemon has restarted, or has ended the link meanwhile"}, false)
	}
	if w.Received != 0 {
		return nil, nil, protocolError("a new link has received up to %d", w.Received)
	}
	c.mu.Lock()
	limits := c.limits
	c.mu.Unlock()
	l = newLink(limits.link(w.LinkID, Peer{Program: w.Program}, w.HoldTime, &c.events))
	session, err := c.start(l, true, c.limits.streamWindow)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		l.end(&LinkError{Code: CodeNormal, Text: "client closed"}, false)
		session.stop()
		return nil, nil, ErrClientClosed
	}
	c.work.Go(l.pump)
	c.work.Go(func() {
		<-l.done
		session.stop()
	})
	c.link, c.session = l, session
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	c.setWelcome(w) // before the event that tells of it
	att, err := l.attach(0, carrier, 0, w.Limit)
	if err != nil {
		return nil, nil, err
	}
	return att, l, nil
}

func (c *Client) setWelcome(w Welcome) {
	c.mu.Lock()
	c.welcome = &w
	c.mu.Unlock()
}

// guard closes a carrier when its handshake takes too long, or ctx or life ends.
type guard struct {
	timer    *time.Timer
	unctx    func() bool
	unlife   func() bool
	ctx      context.Context
	life     context.Context
	deadline time.Time
}

func startGuard(ctx, life context.Context, carrier Carrier) *guard {
	closer := func(reason string) func() {
		return func() { _ = carrier.Close(reason) } // whoever waits on it sees that it is closed
	}
	return &guard{
		timer:    time.AfterFunc(handshakeTimeout, closer("handshake timeout")),
		unctx:    context.AfterFunc(ctx, closer("canceled")),
		unlife:   context.AfterFunc(life, closer("closed")),
		ctx:      ctx,
		life:     life,
		deadline: time.Now().Add(handshakeTimeout),
	}
}

func (g *guard) stop() {
	g.timer.Stop()
	g.unctx()
	g.unlife()
}

// explain puts the reason of the guard's closing in the place of the carrier's error that followed from it.
func (g *guard) explain(err error) error {
	switch _, refused := asRefused(err); {
	case refused:
		return err
	case g.ctx.Err() != nil:
		return context.Cause(g.ctx)
	case g.life.Err() != nil:
		return context.Cause(g.life)
	case !time.Now().Before(g.deadline):
		return fmt.Errorf("no answer within %v: %w", handshakeTimeout, context.DeadlineExceeded)
	default:
		return err
	}
}
