//go:build unix

package main

import (
	"net"
	"testing"
	"time"
)

// chaosDead measures how soon each end tells that a path is dead: closed, silent while
// data waits, and silent with nothing to say.
func chaosDead(t *testing.T, bin string, side string) {
	l := newLab(t, bin)
	daemon := l.expose("echo="+l.serveEcho(), "drip="+l.serveDrip())
	l.pair("client", l.clientRoute)
	client, at := l.forward("client", l.clientRoute, nil, "echo", "drip")
	r := map[string]*route{"client": l.clientRoute, "daemon": l.daemonRoute}[side]
	quiet := l.dial(at["echo"])
	says := l.ping(quiet)
	says()

	// noticed cuts the path and wants both ends to tell it within the bound; then it
	// brings the path back and has the quiet connection used.
	noticed := func(what string, bound time.Duration, away, back func()) {
		t.Helper()
		atClient, atDaemon := client.events(), daemon.events()
		begin := time.Now()
		away()
		c := client.next(atClient, bound+5*time.Second, "held")
		d := daemon.next(atDaemon, bound+5*time.Second, "held")
		t.Logf("%s: the client tells it after %v (%s), the daemon after %v (%s)", what, c.at.Sub(begin), c.Reason, d.at.Sub(begin), d.Reason)
		for name, e := range map[string]told{"client": c, "daemon": d} {
			if after := e.at.Sub(begin); after > bound {
				t.Errorf("%s: the %s tells it after %v, want %v at most", what, name, after, bound)
			}
		}
		atClient = client.events()
		r.pass()
		back()
		client.nextThat(max(0, atClient-1), patience, "resumed", func(e told) bool { return e.Event == "resumed" })
	}
	answers := func() { says() }
	noticed("closed", time.Second, r.reset, answers)
	if !testing.Short() {
		l.wait(time.Second) // for the last acknowledgement, so that nothing waits for anything
		noticed("silent, idle", 30*time.Second, r.drop, answers)
	}

	// The target says something now and then, and so does the local program: data waits at
	// either end.
	drip := l.dial(at["drip"])
	if _, err := drip.Write(hello); err != nil {
		t.Fatal(err)
	}
	if !greeted(drip) {
		t.Fatal("the target does not drip")
	}
	noticed("silent, data waiting", 10*time.Second, func() {
		r.drop()
		if _, err := quiet.Write(hello); err != nil {
			t.Error(err)
		}
	}, func() {
		if !greeted(quiet) {
			t.Error("what waited was not delivered")
		}
	})
	says()
}

// serveDrip runs a server that says a byte ten times a second once it was greeted.
func (l *lab) serveDrip() (addr string) {
	l.t.Helper()
	return l.serve(func(c *net.TCPConn) {
		if !greeted(c) {
			return
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := c.Write(hello); err != nil {
				return
			}
		}
	})
}
