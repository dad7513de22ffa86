package relay_test

import (
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

// walk plays one row of the table of states.
type walk struct {
	rule  string // of the list of rules
	clock bool   // lets time pass: only on a fake clock
	run   func(t *testing.T, r *rig)
}

// walks has one scenario for every row. d is a daemon with session 7, past its handshake.
var walks = map[string]walk{
	"none | client opens, daemon on": {"6.15", false, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		d.send(dataFrame(7, 40, 1))
		c.want(dataFrame(7, 40, 1))
	}},
	"none | client opens, daemon off": {"6.16", false, func(t *testing.T, r *rig) {
		c := r.client("d", 7)
		c.wantLast(sbrp.CodeDaemonOffline, 7)
	}},
	"Paired | daemon's WebSocket closes": {"6.17", false, func(t *testing.T, r *rig) {
		_, c := paused(r)
		c.send(dataFrame(7, 40, 1)) // goes nowhere, and ends nothing
		c.sync()
		if n := r.srv.Stats(); n.DiscardedNotPaired != 1 || n.Paused != 1 || n.Pauses != 1 {
			t.Errorf("got %+v", n)
		}
	}},
	"Paired | Signal(close)": {"6.18", false, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonPolicy))
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.sync()
		d.quiet()
	}},
	"Paired | client closes": {"6.19", false, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		r.session(d, "d", 7).close()
		d.wantControl(sbrp.CodeSessionEnded, 7)
	}},
	"Paused | daemon back, scope session:resume, in grace": {"6.20", true, func(t *testing.T, r *rig) {
		_, c := paused(r)
		wait(59 * time.Second)
		d := pending(r, c)
		c.send(dataFrame(7, 40, 1)) // not yet
		c.sync()
		d.send(dataFrame(7, 40, 1)) // not yet
		d.sync()
		c.quiet()
		if n := r.srv.Stats(); n.DiscardedNotPaired != 2 || n.Pending != 1 {
			t.Errorf("got %+v", n)
		}
	}},
	"Paused | daemon back without that scope": {"6.21", false, func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := r.daemon("d")
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.quiet()
	}},
	"Paused | client closes": {"6.22", false, func(t *testing.T, r *rig) {
		_, c := paused(r)
		c.close()
		eventually(t, "the client is gone", func() bool { return r.srv.Stats().Clients == 0 })
		d := r.daemon("d", token.ScopeSessionResume)
		d.quiet()
		if n := r.srv.Stats(); n.Paused != 0 {
			t.Errorf("got %+v", n)
		}
	}},
	"Paused | grace over": {"6.23", true, func(t *testing.T, r *rig) {
		_, c := paused(r)
		wait(60*time.Second - time.Millisecond)
		c.quiet()
		wait(time.Millisecond)
		c.wantLast(sbrp.CodeSessionExpired, 7)
	}},
	"Pending | no Signal in time": {"6.24", true, func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		wait(10*time.Second - time.Millisecond)
		c.quiet()
		wait(time.Millisecond)
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.sync() // the daemon stays
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
		d.wantControl(sbrp.CodeSessionEnded, 7) // too late
	}},
	"Pending | Signal(ready)": {"6.25", true, func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
		c.wantControl(sbrp.CodeSessionResumed, 7)
		c.send(dataFrame(7, 40, 1))
		d.want(dataFrame(7, 40, 1))
		d.send(dataFrame(7, 40, 2))
		c.want(dataFrame(7, 40, 2))
		wait(2 * time.Minute) // neither timer is left
		c.quiet()
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone)) // once more changes nothing
		d.sync()
		c.quiet()
	}},
	"Pending | Signal(close)": {"6.26", false, func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonStateLost))
		c.wantLast(sbrp.CodeSessionExpired, 7)
	}},
	"Pending | client closes": {"6.27", false, func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		c.close()
		d.wantControl(sbrp.CodeSessionEnded, 7)
	}},
	"Paired | daemon's WebSocket closes before HandshakeAccept": {"6.29", false, func(t *testing.T, r *rig) {
		d := r.daemon("d", token.ScopeSessionResume)
		c := r.client("d", 7)
		c.send(initFrame(7))
		d.want(initFrame(7))
		d.close()
		c.wantLast(sbrp.CodeDaemonOffline, 7)
	}},
	"Pending | daemon's WebSocket closes": {"6.28", true, func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		wait(5 * time.Second)
		d.close()
		c.wantControl(sbrp.CodeSessionPaused, 7)
		wait(59 * time.Second)
		d = pending(r, c)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
		c.wantControl(sbrp.CodeSessionResumed, 7)
	}},
	"Paired | handshake timeout": {"6.28", true, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.client("d", 7)
		c.send(initFrame(7))
		d.want(initFrame(7))
		wait(30*time.Second - time.Millisecond)
		c.quiet()
		wait(time.Millisecond)
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.wantControl(sbrp.CodeSessionEnded, 7)
	}},
}

// paused returns a session whose daemon has left.
func paused(r *rig) (d, c *end) {
	r.t.Helper()
	d = r.daemon("d", token.ScopeSessionResume)
	c = r.session(d, "d", 7)
	d.close()
	c.wantControl(sbrp.CodeSessionPaused, 7)
	return d, c
}

// pending brings the daemon back.
func pending(r *rig, c *end) *end {
	r.t.Helper()
	d := r.dial(daemonToken("d", token.ScopeSessionResume))
	c.wantControl(sbrp.CodeSessionPending, 7)
	d.wantControl(sbrp.CodeSessionPending, 7)
	return d
}
