//go:build unix

package main

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// chaosHeld opens local connections while there is no path: they wait, or are reset with
// --when-held refuse; what was open before is kept either way.
func chaosHeld(t *testing.T, bin string) {
	l := newLab(t, bin)
	l.expose("echo=" + l.serveEcho())
	type machine struct {
		*part
		at   string
		kept func() time.Duration
		seen int
	}
	machines := map[string]*machine{}
	for _, how := range []string{"wait", "refuse"} {
		l.pair(how, l.clientRoute)
		p, at := l.forward(how, l.clientRoute, []string{"--when-held", how}, "echo")
		m := &machine{part: p, at: at["echo"], kept: l.ping(l.dial(at["echo"]))}
		m.kept()
		m.seen = p.events()
		machines[how] = m
	}
	l.clientRoute.reset()
	for _, m := range machines {
		m.next(m.seen, patience, "held")
	}
	for range 3 {
		if err := wantRefused(machines["refuse"].at); err != nil {
			t.Errorf("a new connection with --when-held refuse: %v", err)
		}
	}
	late := l.ping(l.dial(machines["wait"].at))
	answered := make(chan time.Duration, 1)
	go func() { answered <- late() }() // received below, or it fails the test
	l.wait(2 * time.Second)
	select {
	case <-answered:
		t.Error("an answer came while there was no path")
	default:
	}
	l.clientRoute.pass()
	for _, m := range machines {
		m.next(m.seen, patience, "resumed")
		m.kept()
		l.ping(l.dial(m.at))()
	}
	select {
	case d := <-answered:
		t.Logf("a connection that came while the link was held waited for %v", d)
	case <-time.After(patience):
		t.Error("a connection that came while the link was held never went through")
	}
}

// wantRefused opens a local connection and wants it reset: while it is being opened or then.
func wantRefused(addr string) error {
	c, err := net.Dial("tcp", addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil
	} else if err != nil {
		return err
	}
	defer c.Close()
	return wantReset(c.(*net.TCPConn))
}
