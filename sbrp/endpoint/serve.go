package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// serve runs one WebSocket of the daemon until it is lost or ctx ends, and
// returns why. All its goroutines have ended then.
func (d *Daemon) serve(ctx context.Context, u *uplink) error {
	d.stats.connects.Add(1)
	d.mu.Lock()
	id, url := d.presence.DaemonID, d.presence.URL
	d.mu.Unlock()

	u.start()
	d.attach(u)
	uctx, cancel := context.WithCancel(ctx)
	inits := make(chan hello, handshakeQueue)
	var wg sync.WaitGroup
	wg.Go(func() { d.read(u, inits) })
	for range handshakeWorkers {
		wg.Go(func() { d.shakeHands(u, id, inits) })
	}
	wg.Go(func() {
		if err := d.renew(uctx); err != nil {
			u.fail(err)
		}
	})
	d.cfg.Logger.Info("online", "relay", url)
	d.cfg.OnState(DaemonState{Online: true, Relay: url})

	select {
	case <-u.lost:
	case <-ctx.Done():
		d.shutdown(u)
	}
	cancel()
	d.detach(u)
	wg.Wait()
	u.wait()
	d.stats.losses.Add(1)
	return u.err
}

// shutdown says Signal(close, shutdown) for every session and then good-bye, in
// bounded time.
func (d *Daemon) shutdown(u *uplink) {
	for _, s := range d.snapshot() {
		r := sbrp.ReasonShutdown
		d.end(s, evClose, ErrDaemonClosed, &r)
	}
	t := time.NewTimer(shutdownTimeout)
	defer t.Stop()
	select {
	case <-u.out.drained():
		u.bye(ErrDaemonClosed, wsconn.StatusGoingAway)
	case <-u.lost:
	case <-t.C:
	}
	u.fail(ErrDaemonClosed)
}

// attach makes u the daemon's WebSocket: for each session that was kept, before
// any other frame of it, Signal(ready) or Signal(close, state_lost) (section 6).
// The session's path is up as soon as its Signal(ready) is written: there is no
// word from the relay that says so to a daemon.
func (d *Daemon) attach(u *uplink) {
	d.mu.Lock()
	d.link = u
	d.mu.Unlock()
	for _, s := range d.snapshot() {
		if d.fit(s) {
			d.signal(u, s.id, sbrp.SignalReady, sbrp.ReasonNone, func() { s.ready(u) })
		}
	}
}

// fit makes the state check of section 6 on one session, and ends it with
// Signal(close, state_lost) if it fails.
func (d *Daemon) fit(s *Session) bool {
	err := s.check()
	if err == nil {
		return true
	}
	r := sbrp.ReasonStateLost
	d.end(s, evUnfit, fmt.Errorf("resume session: %w", err), &r)
	return false
}

// signal queues a Signal; a relay that does not read them loses us.
func (d *Daemon) signal(u *uplink, id sbrp.SessionID, sig sbrp.Signal, r sbrp.Reason, then func()) {
	if !u.out.addSignal(id, sig, r, then) {
		u.fail(errors.New("relay does not read: too many signals wait to be written"))
	}
}

// detach is the loss of u: sessions keep keys, sequences and window, for as long
// as the relay may keep them too.
func (d *Daemon) detach(u *uplink) {
	d.mu.Lock()
	d.link = nil
	d.mu.Unlock()
	deadline := time.Now().Add(d.cfg.Grace + graceMargin)
	for _, s := range d.snapshot() {
		s.parted(u, deadline)
	}
	d.recheckDeadlines()
}

// end ends a session because of this side or of the relay. With a reason the
// relay is told, if there is one to tell. What was queued is dropped, unless the
// other side ended it: then Receive gets what came before the end.
func (d *Daemon) end(s *Session, on event, err error, tell *sbrp.Reason) {
	if !s.finish(on, err) {
		return
	}
	d.mu.Lock()
	if d.sessions[s.id] == s {
		delete(d.sessions, s.id)
	}
	if on != evEnded { // after the relay's word no frame should come; one that does is answered: see disown
		d.forgotten.add(s.id)
	}
	u := d.link
	d.mu.Unlock()
	if on == evEnded {
		s.queue.close()
	} else {
		d.queued.Add(-int64(s.queue.discard()))
	}
	if tell != nil && u != nil && !u.isLost() {
		d.signal(u, s.id, sbrp.SignalClose, *tell, nil)
	}
	d.cfg.Logger.Debug("session ended", "session", s.id.String(), "err", err)
}

// watchDeadlines ends sessions that the relay can no longer have: it has given
// no sign of them since a reconnect, or there was none in time.
func (d *Daemon) watchDeadlines(ctx context.Context) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		t.Reset(d.expire(time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-d.sweep:
		case <-t.C:
		}
	}
}

func (d *Daemon) recheckDeadlines() {
	select {
	case d.sweep <- struct{}{}:
	default: // it will look anyway
	}
}

// expire ends what is overdue and returns the time until the next deadline.
func (d *Daemon) expire(now time.Time) time.Duration {
	next := time.Hour
	for _, s := range d.snapshot() {
		at := s.dueBy()
		if at.IsZero() {
			continue
		}
		if left := at.Sub(now); left > 0 {
			next = min(next, left)
			continue
		}
		r := sbrp.ReasonStateLost
		d.end(s, evUnfit, &sbrp.Error{Code: sbrp.CodeSessionExpired, SessionID: s.id, Detail: "the relay has not confirmed it since the connection was lost"}, &r)
	}
	return next
}
