package service

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"culvert/sbrp/endpoint"
)

// kickSettle is the age below which an attempt survives retryNow: it began after what made
// the caller kick, or just before.
const kickSettle = time.Second

// errKicked is why an attempt was given up: see retryNow.
var errKicked = errors.New("attempt begun anew: the network may have changed")

// underway is what a client's loop is doing, for those who want to hurry it.
type underway struct {
	kick chan struct{} // one slot: try at once

	mu      sync.Mutex              // guards what follows
	session *endpoint.Session       // the carrier in use; nil: none
	abandon context.CancelCauseFunc // gives up the attempt; nil: there is none
	begun   time.Time               // when that began
}

// retryNow says that the network has changed: a pause between attempts ends, an attempt
// that hangs is begun anew, and a carrier has to show that it lives.
func (u *underway) retryNow() {
	u.mu.Lock()
	session, abandon := u.session, u.abandon
	settled := time.Since(u.begun) >= kickSettle
	u.mu.Unlock()
	switch {
	case session != nil:
		session.Probe()
		return
	case abandon != nil && settled:
		abandon(errKicked)
		return
	}
	select {
	case u.kick <- struct{}{}:
	default:
	}
}

func (u *underway) serving(s *endpoint.Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.session = s
}

func (u *underway) attempting(abandon context.CancelCauseFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.abandon, u.begun = abandon, time.Now()
}

// attempt brings up one carrier and runs the link on it until it ends. served tells for
// how long it did; zero means that it did not come that far.
func (c *client) attempt(ctx context.Context) (served time.Duration, err error) {
	session, err := c.try(ctx)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	c.shown.Store(new(session.DaemonKey().Fingerprint()))
	c.serving(session)
	defer c.serving(nil)
	if err = c.link.Serve(ctx, session); err == nil {
		err = net.ErrClosed
	}
	return max(time.Since(begin), 1), err
}

// try is one dial, which retryNow can end with errKicked.
func (c *client) try(ctx context.Context) (*endpoint.Session, error) {
	tctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.attempting(cancel)
	defer c.attempting(nil)
	session, err := c.dialBounded(tctx)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(tctx), errKicked) {
		return nil, errKicked
	}
	return session, err
}

// dialBounded is dial within what is left of the timeout.
func (c *client) dialBounded(ctx context.Context) (*endpoint.Session, error) {
	if c.timeout > 0 {
		left := c.timeout - time.Since(time.Unix(0, c.lastLive.Load()))
		dctx, cancel := context.WithTimeout(ctx, max(left, time.Millisecond))
		defer cancel()
		return c.dial(dctx)
	}
	return c.dial(ctx)
}
