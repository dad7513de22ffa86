package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// errKicked is why an attempt to connect was given up: see Kick.
var errKicked = errors.New("attempt begun anew: the network may have changed")

// connectLoop keeps the daemon connected until ctx ends (nil) or Connect says
// that it is of no use.
func (d *Daemon) connectLoop(ctx context.Context) error {
	backoff := d.cfg.Backoff
	flaps := Backoff{Min: backoff.Min, Max: backoff.Max, Growth: flapGrowth}
	fresh := true // whether to ask Connect although the token at hand is still good
	for ctx.Err() == nil {
		u, err := d.connect(ctx, fresh)
		fresh = true // after a failure the relay may be elsewhere
		var least time.Duration
		switch {
		case ctx.Err() != nil:
			if u != nil {
				u.fail(ErrDaemonClosed)
			}
			return nil
		case isPermanent(err):
			d.offline(err)
			return err
		case errors.Is(err, errKicked):
			backoff.Reset()
			continue
		case err != nil:
			d.offline(err)
		default:
			err = d.serve(ctx, u)
			if ctx.Err() != nil {
				return nil
			}
			d.offline(err)
			if isPermanent(err) {
				return err
			}
			backoff.Reset()
			if time.Since(u.opened) >= stableAfter {
				flaps.Reset()
			} else {
				least = flaps.Next()
			}
			// The token is likely good and the relay likely back in a moment; asking
			// the control plane first would cost time when every client waits.
			// Unless it says that the place is elsewhere now, or, having upgraded
			// first, that the token is refused.
			fresh = moved(err) || refused(err)
			if refused(err) {
				d.forgetToken()
			}
		}
		d.pause(ctx, &backoff, max(least, leastPause(err)))
	}
	return nil
}

// offline tells OnState.
func (d *Daemon) offline(err error) {
	d.cfg.Logger.Info("offline", "err", err)
	d.cfg.OnState(DaemonState{Relay: d.relayURL(), Err: err})
}

func (d *Daemon) relayURL() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.presence.URL
}

// leastPause is what the reason of a failure or loss asks to wait, whatever the
// backoff says.
func leastPause(err error) time.Duration {
	if de, ok := errors.AsType[*wsconn.DialError](err); ok {
		return min(de.RetryAfter, maxRetryAfter)
	}
	if ce, ok := errors.AsType[*wsconn.CloseError](err); ok && ce.Code == wsconn.StatusPolicy {
		return evictedPause/2 + rand.N(evictedPause/2)
	}
	return 0
}

// pause waits between two attempts; a Kick ends it.
func (d *Daemon) pause(ctx context.Context, b *Backoff, least time.Duration) {
	t := time.NewTimer(max(b.Next(), least))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-d.kicked:
		b.Reset()
	}
}

// connect makes one attempt: a presence token, unless there is a good one and
// fresh is false, and the WebSocket. A token that the relay refuses is replaced
// once before that is an error.
func (d *Daemon) connect(ctx context.Context, fresh bool) (*uplink, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	select {
	case <-d.kicked: // what it was about is about to happen
	default:
	}
	d.mu.Lock()
	d.attempt, d.tried = func() { cancel(errKicked) }, time.Now()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.attempt = nil
		d.mu.Unlock()
	}()
	u, err := d.try(ctx, fresh)
	if refused(err) && ctx.Err() == nil {
		d.cfg.Logger.Info("relay refused the presence token, asking for another", "err", err)
		d.forgetToken()
		u, err = d.try(ctx, true)
	}
	if err != nil && errors.Is(context.Cause(ctx), errKicked) {
		return nil, errKicked
	}
	return u, err
}

// try is one dial.
func (d *Daemon) try(ctx context.Context, fresh bool) (*uplink, error) {
	p, err := d.present(ctx, fresh)
	if err != nil {
		return nil, err
	}
	o := d.cfg.Dial
	o.Token = p.Token
	w, err := d.cfg.DialWire(ctx, p.URL, o)
	if err != nil {
		return nil, fmt.Errorf("connect to relay: %w", err)
	}
	return newUplink(w, liveness{
		pingInterval: d.cfg.PingInterval,
		deadAfter:    d.cfg.DeadAfter,
		stallAfter:   stallAfter,
		stallGrace:   stallGrace,
	}, d.cfg.MaxSessions, d.cfg.Logger), nil
}

// moved reports whether the relay says that this daemon's place is at another one.
func moved(err error) bool {
	ce, ok := errors.AsType[*wsconn.CloseError](err)
	return ok && ce.Code == wsconn.StatusMoved
}

// refused reports whether the relay did not take the presence token: it says so before the upgrade, or in a Control frame.
func refused(err error) bool {
	if ce, ok := errors.AsType[*sbrp.ControlError](err); ok {
		return ce.Code == sbrp.CodeUnauthorized || ce.Code == sbrp.CodeForbidden
	}
	de, ok := errors.AsType[*wsconn.DialError](err)
	return ok && (de.Status == http.StatusUnauthorized || de.Status == http.StatusForbidden) && de.Hop != wsconn.HopProxy
}

// present returns a presence to connect with: the one at hand if it is still
// good and fresh is false, else a new one. When there is no new one to be had,
// the old one is better than nothing: the control plane may be down while the
// relay is not.
func (d *Daemon) present(ctx context.Context, fresh bool) (Presence, error) {
	d.mu.Lock()
	p := d.presence
	d.mu.Unlock()
	valid := p.Token != "" && !p.Expires.IsZero()
	if valid && !fresh && time.Until(p.Expires) > presenceMargin {
		return p, nil
	}
	q, err := d.ask(ctx)
	if err == nil {
		return q, nil
	}
	if valid && !isPermanent(err) && ctx.Err() == nil && time.Until(p.Expires) > 0 {
		d.cfg.Logger.Info("no new presence token, using the one at hand", "err", err)
		return p, nil
	}
	return Presence{}, err
}

// ask calls Connect, checks what it says and keeps it.
func (d *Daemon) ask(ctx context.Context) (Presence, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	p, err := d.cfg.Connect(ctx)
	if err != nil {
		return Presence{}, fmt.Errorf("get presence token: %w", err)
	}
	if p.URL == "" || p.Token == "" {
		return Presence{}, errors.New("get presence token: the control plane gave no relay address or no token")
	}
	if err := sbrp.CheckDaemonID(p.DaemonID); err != nil {
		return Presence{}, fmt.Errorf("get presence token: daemon id: %w", err)
	}
	d.mu.Lock()
	d.presence = p
	d.mu.Unlock()
	return p, nil
}

// forgetToken drops the token at hand: the relay has refused it.
func (d *Daemon) forgetToken() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.presence.Token = ""
}

// renew gets a new presence token in good time before the one at hand expires,
// so that a reconnect finds a good one even if the control plane is down then.
// The relay does not cut a connection whose token has expired: only the next
// WebSocket uses the new one. It returns when ctx ends, or with a
// *PermanentError.
func (d *Daemon) renew(ctx context.Context) error {
	var retry Backoff
	retry.Min, retry.Max = presenceMargin/2, 10*presenceMargin
	for {
		d.mu.Lock()
		p := d.presence
		d.mu.Unlock()
		if p.Expires.IsZero() {
			return nil
		}
		left := time.Until(p.Expires)
		wait := max(left-max(left/10, presenceMargin), 0)
		if wait == 0 {
			wait = retry.Next() // it lives for less than the margin, or renewal fails
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		switch q, err := d.ask(ctx); {
		case isPermanent(err):
			return err
		case err != nil:
			if ctx.Err() == nil {
				d.cfg.Logger.Info("no new presence token yet", "err", err)
			}
		case time.Until(q.Expires) > presenceMargin:
			retry.Reset()
		}
	}
}
