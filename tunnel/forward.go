package tunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ForwardConfig says what a forward does.
type ForwardConfig struct {
	Spec   ForwardSpec // required
	Opener Opener      // required

	// SuggestedPort is the local port for a Spec without one: the port that
	// WELCOME names for the target. 0: any free port.
	SuggestedPort int

	// RefuseWhenHeld resets new local connections while the link has no path,
	// instead of letting them wait. Live tells whether it has one; required
	// with RefuseWhenHeld.
	RefuseWhenHeld bool
	Live           func() bool

	// Networks names the network targets that a SOCKS proxy leads to, now; required with
	// Spec.SOCKS. It is called for each connection, concurrently.
	Networks func() []string

	OpenTimeout time.Duration // how long a local connection waits for the link; 0: DefaultOpenTimeout
	MaxConns    int           // local connections at once, more are reset; 0: DefaultMaxConns

	// Each runs in the connection's goroutine, so calls for different
	// connections run concurrently; each must return soon. nil: nobody listens.
	OnOpen   func(ConnInfo)        // the daemon has said that the target is connected
	OnClose  func(ConnInfo, error) // after OnOpen: it has ended; nil when both sides had nothing more to say
	OnRefuse func(ConnInfo, error) // the local connection was reset instead: *StatusError, ErrBusy, ErrHeld, or the opener's error

	Logger *slog.Logger // nil: no log
}

// ForwardStats counts the connections of a forward.
type ForwardStats struct {
	Active    int64 // now, those that wait included
	Opened    int64 // reached the target, ever
	Refused   int64 // reset without reaching it, ever
	BytesUp   int64 // of connections that have ended and of those that live
	BytesDown int64
}

// Forward listens locally and brings each connection to a target. Bind, then
// Run, then nothing more. All methods may be called concurrently.
type Forward struct {
	cfg ForwardConfig
	log *slog.Logger

	openTimeout             atomic.Int64 // in nanoseconds
	active, opened, refused atomic.Int64
	up, down                atomic.Int64
	lastID                  atomic.Uint64
	lastNetwork             atomic.Value   // string; SOCKS: the network that served last
	conns                   sync.WaitGroup // started by Run, waited for by it

	mu    sync.Mutex            // guards the rest
	ln    net.Listener          // set by Bind, nil again after Close
	there map[uint64]*forwarded // connections that have reached their target
}

// NewForward checks the configuration.
func NewForward(cfg ForwardConfig) (*Forward, error) {
	switch {
	case cfg.Opener == nil:
		return nil, errors.New("new forward: Opener is missing")
	case cfg.Spec.SOCKS && cfg.Networks == nil:
		return nil, errors.New("new forward: Networks is missing, which a SOCKS proxy needs")
	case cfg.RefuseWhenHeld && cfg.Live == nil:
		return nil, errors.New("new forward: Live is missing, which RefuseWhenHeld needs")
	case cfg.Spec.Network != NetworkTCP && cfg.Spec.Network != NetworkUnix:
		return nil, fmt.Errorf("new forward: Spec has the network %q", cfg.Spec.Network)
	case cfg.OpenTimeout < 0 || cfg.MaxConns < 0 || cfg.SuggestedPort < 0:
		return nil, errors.New("new forward: OpenTimeout, MaxConns or SuggestedPort is negative")
	}
	if err := CheckRef(cfg.Spec.Target); err != nil {
		return nil, fmt.Errorf("new forward: %w", err)
	}
	cfg.MaxConns = cmp.Or(cfg.MaxConns, DefaultMaxConns)
	f := &Forward{cfg: cfg, log: cfg.Logger}
	f.SetOpenTimeout(cfg.OpenTimeout)
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// Spec is the forward's specification.
func (f *Forward) Spec() ForwardSpec { return f.cfg.Spec }

// SetOpenTimeout changes OpenTimeout for connections that come from now on; 0 is the
// default.
func (f *Forward) SetOpenTimeout(d time.Duration) {
	f.openTimeout.Store(int64(cmp.Or(max(d, 0), DefaultOpenTimeout)))
}

// waitForLink bounds the wait of one connection.
func (f *Forward) waitForLink(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(f.openTimeout.Load()))
}

// Bind opens the listener; connections wait in the system's queue until Run.
// Errors are *BindError. A second call returns the first one's address.
func (f *Forward) Bind() (net.Addr, error) {
	if a := f.Addr(); a != nil {
		return a, nil
	}
	ln, err := listen(f.cfg.Spec, f.cfg.SuggestedPort)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	first := f.ln == nil
	if first {
		f.ln = ln
	}
	bound := f.ln.Addr()
	f.mu.Unlock()
	if !first {
		_ = ln.Close() // another Bind was first, and its listener is used
	}
	return bound, nil
}

// Addr is where the forward listens; nil before Bind and after Close.
func (f *Forward) Addr() net.Addr {
	if ln := f.listener(); ln != nil {
		return ln.Addr()
	}
	return nil
}

func (f *Forward) listener() net.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ln
}

// Close closes the listener, which ends Run; Run then ends the connections.
// Needed only when Run is never called.
func (f *Forward) Close() error {
	f.mu.Lock()
	ln := f.ln
	f.ln = nil
	f.mu.Unlock()
	if ln == nil {
		return nil
	}
	return ln.Close()
}

// Stats counts the forward's connections so far.
func (f *Forward) Stats() ForwardStats {
	return ForwardStats{
		Active: f.active.Load(), Opened: f.opened.Load(), Refused: f.refused.Load(),
		BytesUp: f.up.Load(), BytesDown: f.down.Load(),
	}
}

// Conns returns the connections that have reached their target and are there now, oldest
// first.
func (f *Forward) Conns() []ConnInfo {
	f.mu.Lock()
	infos := make([]ConnInfo, 0, len(f.there))
	for _, fc := range f.there {
		infos = append(infos, fc.snapshot())
	}
	f.mu.Unlock()
	slices.SortFunc(infos, func(a, b ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

func (f *Forward) addConn(fc *forwarded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.there == nil {
		f.there = map[uint64]*forwarded{}
	}
	f.there[fc.info.ID] = fc
}

func (f *Forward) removeConn(fc *forwarded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.there, fc.info.ID)
}

// Run serves local connections until ctx ends (its cause is the result) or the
// listener fails. Then it closes the listener, resets what is open, and returns
// when all of it is gone.
func (f *Forward) Run(ctx context.Context) error {
	ln := f.listener()
	if ln == nil {
		return ErrNotBound
	}
	ctx, cancel := context.WithCancel(ctx)
	defer f.conns.Wait()
	defer cancel()
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // unblocks Accept
	defer stop()
	pause := acceptRetryMin
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = acceptRetryMin
			f.accepted(ctx, c)
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !isShortage(err):
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		f.log.Warn("cannot accept a connection, trying again", "addr", ln.Addr().String(), "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		pause = min(2*pause, acceptRetryMax)
	}
}

// accepted starts a connection's goroutine, or resets what is too much.
func (f *Forward) accepted(ctx context.Context, c net.Conn) {
	fc := &forwarded{
		f:     f,
		local: asDuplex(c),
		info:  ConnInfo{ID: f.lastID.Add(1), From: c.RemoteAddr(), Target: f.cfg.Spec.Target, Since: time.Now()},
	}
	if n := f.active.Add(1); n > int64(f.cfg.MaxConns) {
		f.active.Add(-1)
		fc.refuse(ErrBusy)
		return
	}
	f.conns.Go(func() { fc.run(ctx) })
}
