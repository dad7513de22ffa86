package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/wsconn"
)

// Presence is what a daemon needs to appear at a relay.
type Presence struct {
	URL      string // of the relay
	Token    string // presence token; never logged
	DaemonID string // as the control plane names this daemon
	// Expires is when the token does. Zero means unknown: it is used once.
	Expires time.Time
}

// DaemonState is what OnState is told.
type DaemonState struct {
	Online bool
	Relay  string // URL; empty while none is known
	Err    error  // why it is not online
}

// DaemonConfig configures a Daemon.
type DaemonConfig struct {
	// Identity is the device key. Required.
	Identity *e2ee.Identity
	// Connect gets a relay address and a fresh presence token from the control
	// plane. It must heed ctx. An error is tried again, unless it is (or wraps) a
	// *PermanentError. Required.
	Connect func(ctx context.Context) (Presence, error)
	// Accept is called once for each session after its handshake, in a goroutine
	// that Run waits for; the session is closed when it returns. Nothing is known
	// of the client then: whoever can get a token can come this far. Required.
	Accept func(*Session)
	// OnState is told when the daemon goes online or offline, and the reason of
	// each failed attempt. It must not block. May be nil.
	OnState func(DaemonState)

	// Dial is how to reach the relay. Its Token is ignored.
	Dial wsconn.DialOptions
	// DialWire opens the WebSocket; nil means wsconn.Dial.
	DialWire DialFunc

	// Grace is how long the relay keeps sessions of a daemon that is away; zero
	// means 60 s. The daemon keeps them a little longer.
	Grace            time.Duration
	Layout           e2ee.Layout   // of HandshakeAccept: 128 bytes, or 96 for peers of the older draft
	Backoff          Backoff       // between attempts; zero means 50 ms to 30 s
	HandshakeTimeout time.Duration // from HandshakeInit; zero means 30 s
	PingInterval     time.Duration // zero means 15 s
	DeadAfter        time.Duration // of silence; zero means 30 s
	MaxSessions      int           // zero means 1,024
	// QueueBudget bounds the memory of all receive queues together, in bytes; zero
	// means 256 MiB. When it is spent, the session that holds most is ended.
	QueueBudget int64

	Logger *slog.Logger // nil means no log
}

// withDefaults returns a copy of c with its zero fields filled, or an error that
// names a field that is wrong.
func (c DaemonConfig) withDefaults() (DaemonConfig, error) {
	switch {
	case c.Identity == nil:
		return c, errors.New("new daemon: Identity is missing")
	case c.Connect == nil:
		return c, errors.New("new daemon: Connect is missing")
	case c.Accept == nil:
		return c, errors.New("new daemon: Accept is missing")
	case c.MaxSessions < 0 || c.QueueBudget < 0:
		return c, errors.New("new daemon: MaxSessions and QueueBudget must not be negative")
	case c.Grace < 0 || c.HandshakeTimeout < 0 || c.PingInterval < 0 || c.DeadAfter < 0:
		return c, errors.New("new daemon: Grace, HandshakeTimeout, PingInterval and DeadAfter must not be negative")
	}
	if c.OnState == nil {
		c.OnState = func(DaemonState) {}
	}
	if c.DialWire == nil {
		c.DialWire = dialWebSocket
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	if c.QueueBudget == 0 {
		c.QueueBudget = defaultQueueBudget
	}
	c.Grace = nonZero(c.Grace, DefaultGrace)
	c.HandshakeTimeout = nonZero(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.PingInterval = nonZero(c.PingInterval, DefaultPingInterval)
	c.DeadAfter = nonZero(c.DeadAfter, DefaultDeadAfter)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Daemon is the daemon's end: one WebSocket to a relay, many sessions on it.
// Run does the work; all other methods may be called at any time by anyone.
//
// Goroutines: Run connects and reconnects in its own; while a WebSocket is open
// it has one reader, a keeper, a scribe and some handshake workers; each session
// has the goroutine that Accept runs in. Run waits for all of them.
type Daemon struct {
	cfg   DaemonConfig
	stats daemonStats

	queued  atomic.Int64 // memory held by all receive queues
	running atomic.Bool
	accepts sync.WaitGroup
	kicked  chan struct{} // one slot: try at once
	sweep   chan struct{} // one slot: a deadline was set

	mu        sync.Mutex
	sessions  map[sbrp.SessionID]*Session // guarded by mu; alive ones
	forgotten recent                      // guarded by mu; ended ones
	link      *uplink                     // guarded by mu; nil while offline
	presence  Presence                    // guarded by mu; the newest
	attempt   func()                      // guarded by mu; gives up the present attempt to connect, nil if there is none
	tried     time.Time                   // guarded by mu; when that attempt began
}

// NewDaemon returns a daemon that does nothing until Run.
func NewDaemon(config DaemonConfig) (*Daemon, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Daemon{
		cfg:      c,
		kicked:   make(chan struct{}, 1),
		sweep:    make(chan struct{}, 1),
		sessions: make(map[sbrp.SessionID]*Session),
	}, nil
}

// Run connects to the relay, and again whenever the connection is lost, until
// ctx ends; then it tells the relay that all sessions are closed (shutdown),
// ends them and returns nil. It returns an error only if Connect's cannot heal
// (a *PermanentError), or if it is called twice. When it returns, everything it
// started has ended.
func (d *Daemon) Run(ctx context.Context) error {
	if !d.running.CompareAndSwap(false, true) {
		return errors.New("run daemon: it has been run before")
	}
	rctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.watchDeadlines(rctx) })
	err := d.connectLoop(rctx)
	cancel()
	wg.Wait()
	// Nobody makes sessions any more. Those that are left end here; if there was a
	// WebSocket, the relay has been told.
	for _, s := range d.snapshot() {
		d.end(s, evClose, ErrDaemonClosed, nil)
	}
	d.accepts.Wait()
	if err != nil {
		return fmt.Errorf("run daemon: %w", err)
	}
	return nil
}

// Kick says that the network has changed or that there is another reason to
// look now: a pause between attempts ends, an attempt that hangs is begun anew,
// and an open WebSocket has to show that it lives.
func (d *Daemon) Kick() {
	d.mu.Lock()
	u, attempt := d.link, d.attempt
	if time.Since(d.tried) < kickSettle {
		attempt = nil // it began after what made the caller kick, or just before
	}
	d.mu.Unlock()
	if u != nil {
		u.probe()
		return
	}
	if attempt != nil {
		attempt()
	}
	select {
	case d.kicked <- struct{}{}:
	default:
	}
}

// snapshot returns the living sessions.
func (d *Daemon) snapshot() []*Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Session, 0, len(d.sessions))
	for _, s := range d.sessions {
		all = append(all, s)
	}
	return all
}

// lookup returns the living session of that id, or nil.
func (d *Daemon) lookup(id sbrp.SessionID) *Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[id]
}

// recent remembers the last forgottenSize session ids.
type recent struct {
	set  map[sbrp.SessionID]struct{}
	ring [forgottenSize]sbrp.SessionID
	next int
}

// add remembers id; it returns false if it was remembered already.
func (r *recent) add(id sbrp.SessionID) bool {
	if _, ok := r.set[id]; ok {
		return false
	}
	if r.set == nil {
		r.set = make(map[sbrp.SessionID]struct{}, forgottenSize)
	}
	delete(r.set, r.ring[r.next])
	r.set[id] = struct{}{}
	r.ring[r.next] = id
	r.next = (r.next + 1) % forgottenSize
	return true
}
