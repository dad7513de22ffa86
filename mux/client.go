package mux

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ClientConfig says who the client is. Key and Sign are required.
type ClientConfig struct {
	Key     [32]byte                // device key, Ed25519 public
	Sign    func(msg []byte) []byte // signs with its private half
	Name    string                  // what the client calls itself, at most 128 bytes
	Program string                  // program and version, at most 128 bytes

	// Pairing gives the proof of a pairing code for this transcript, or nil when there is none (any more). CheckPairing
	// judges the daemon's proof; it is called for each carrier on which a proof was sent, before anything of the daemon's
	// answer is used, and its error ends the carrier. Both or neither are set.
	Pairing      func(transcript [32]byte) []byte
	CheckPairing func(transcript [32]byte, proof []byte) error

	HoldTime     time.Duration // how long a link without a path is kept; 0: DefaultHoldTime. The smaller of both sides' rules
	WindowMin    int           // bytes that the peer may send ahead at first; 0: DefaultWindowMin
	WindowMax    int           // the most that may grow to, and the most kept for sending again; 0: DefaultWindowMax
	StreamWindow int           // bytes that one stalled stream may hold; 0: DefaultStreamWindow
	Budget       *Budget       // shared by all links of the process; nil: one of its own of DefaultBudget
	OnEvent      func(Event)   // nil: nobody listens
	Logger       *slog.Logger  // nil: no log
}

// Client is one link to one daemon, over any number of carriers, one at a time; when the daemon has lost the link, the
// next one. All methods may be called concurrently, but Run and Close wait for everything, so OnEvent must not call them.
type Client struct {
	cfg    ClientConfig
	limits limits // but for hold, which mu guards
	events eventQueue
	life   context.Context // ends with the client
	die    context.CancelCauseFunc
	start  starter
	turn   chan struct{}  // 1: one handshake at a time
	work   sync.WaitGroup // Serve calls and what links run; added to under mu while not closed

	mu      sync.Mutex // guards what follows
	closed  bool
	link    *link // current or last one; nil: none yet
	session *Session
	changed chan struct{} // closed when link changes
	welcome *Welcome
	attempt uint64
	since   time.Time
}

// NewClient checks the configuration. Nothing runs yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Sign == nil {
		return nil, errors.New("configure link client: Sign is missing")
	}
	if (cfg.Pairing == nil) != (cfg.CheckPairing == nil) {
		return nil, errors.New("configure link client: Pairing and CheckPairing belong together")
	}
	if !plainText(cfg.Name) || !plainText(cfg.Program) {
		return nil, fmt.Errorf("configure link client: Name or Program is longer than %d bytes or not plain text", maxName)
	}
	lim, err := newLimits(cfg.HoldTime, cfg.WindowMin, cfg.WindowMax, cfg.StreamWindow, cfg.Budget, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("configure link client: %w", err)
	}
	c := &Client{
		cfg: cfg, limits: lim, events: eventQueue{deliver: cfg.OnEvent}, start: newSession,
		turn: make(chan struct{}, 1), changed: make(chan struct{}), since: time.Now(),
	}
	c.life, c.die = context.WithCancelCause(context.Background()) // the client's own life: Close and Run end it
	return c, nil
}

// Serve runs the link on a carrier and blocks until that carrier has ended, which it then has in any case. It returns
// why: a *RefusedError when the daemon does not admit this client, a *LinkError when the link has ended, the carrier's
// error or ErrCarrierDead when the path is gone and the link is held for the next carrier. A second Serve while one runs
// takes the link over to its carrier.
func (c *Client) Serve(ctx context.Context, carrier Carrier) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		_ = carrier.Close("client closed") // not used at all
		return ErrClientClosed
	}
	c.work.Add(1)
	c.mu.Unlock()
	defer c.work.Done()
	err := c.serve(ctx, carrier)
	_ = carrier.Close(fmt.Sprint(err)) // it has ended already, or ends now
	return err
}

func (c *Client) serve(ctx context.Context, carrier Carrier) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.life.Done():
		return context.Cause(c.life)
	}
	l, att, err := c.handshake(ctx, carrier)
	<-c.turn
	c.events.flush()
	if err != nil {
		return err
	}
	return l.watch(ctx, att)
}

// Run blocks until ctx ends or Close is called, then ends the link and waits for all that the client has started. The end
// is told to the daemon, and what was written is given a short time to arrive, if Serve's context outlives this one:
// Serve returns by itself when the client ends.
func (c *Client) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		c.shut(&LinkError{Code: CodeShutdown, Text: "client ends"})
		return context.Cause(ctx)
	case <-c.life.Done():
		c.work.Wait()
		return nil
	}
}

// Close ends the link and its streams with a reason for people. What was written is given a short time to arrive.
func (c *Client) Close(reason string) error {
	c.shut(&LinkError{Code: CodeNormal, Text: reason})
	return nil
}

func (c *Client) shut(e *LinkError) {
	c.mu.Lock()
	c.closed = true
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.finish(e)
	}
	c.die(ErrClientClosed)
	c.work.Wait()
}

// Open opens a stream. While there is no live link it waits until there is one, ctx ends, or the client is closed.
func (c *Client) Open(ctx context.Context) (*Stream, error) {
	for {
		c.mu.Lock()
		l, session, changed, closed := c.link, c.session, c.changed, c.closed
		c.mu.Unlock()
		if closed {
			return nil, ErrClientClosed
		}
		var moved <-chan struct{}
		if l != nil {
			var state State
			if state, moved = l.watchState(); state == StateLive {
				st, err := session.Open(ctx)
				if err == nil || ctx.Err() != nil || l.err() == nil {
					return st, err
				}
				continue
			}
		}
		select {
		case <-changed:
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.life.Done():
			return nil, context.Cause(c.life)
		}
	}
}

// Welcome is the daemon's last answer; false: there was none.
func (c *Client) Welcome() (Welcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.welcome == nil {
		return Welcome{}, false
	}
	return *c.welcome, true
}

// Status is a snapshot of the current link, or of the last one while there is no new one.
func (c *Client) Status() Status {
	c.mu.Lock()
	l, since := c.link, c.since
	c.mu.Unlock()
	if l == nil {
		return Status{State: StateConnecting, Since: since}
	}
	return l.status()
}
