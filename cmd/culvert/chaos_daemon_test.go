//go:build unix

package main

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// chaosDaemonDies kills the daemon's process: its streams are gone, and every program
// hears it as soon as a new one is there; the forward goes on without being touched.
func chaosDaemonDies(t *testing.T, bin string) {
	l := newLab(t, bin)
	echo := "echo=" + l.serveEcho()
	daemon := l.expose(echo)
	l.pair("client", l.clientRoute)
	client, at := l.forward("client", l.clientRoute, nil, "echo")
	var open []*net.TCPConn
	for range 2 {
		open = append(open, l.dial(at["echo"]), l.dial(at["echo"]))
		for _, c := range open {
			l.ping(c)()
		}
		seen := client.events()
		daemon.kill()
		if e := client.next(seen, 2*time.Second, "held"); e.Connections != len(open) {
			t.Errorf("held says %d connections, want %d", e.Connections, len(open))
		}
		late := l.dial(at["echo"]) // a program that comes now waits

		daemon = l.expose(echo)
		back := daemon.next(0, patience, "online").at
		for _, c := range open {
			if err := wantReset(c); err != nil {
				t.Errorf("a connection of before: %v", err)
			}
		}
		if after := time.Since(back); after > 2*time.Second {
			t.Errorf("connections are reset %v after the daemon's return, want 2 s at most", after)
		} else {
			t.Logf("connections are reset %v after the daemon's return", after)
		}
		e := client.next(seen, patience, "lost")
		if e.Connections != len(open) {
			t.Errorf("lost says %d connections, want %d", e.Connections, len(open))
		}
		client.nextThat(seen, patience, "ready after lost", func(r told) bool { return r.Event == "ready" && !r.at.Before(e.at) })
		open = []*net.TCPConn{late, l.dial(at["echo"])}
	}
	for _, c := range open {
		l.ping(c)()
	}
}

// wantReset reads and wants the connection reset.
func wantReset(c *net.TCPConn) error {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, c)
	if n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		return errors.Join(errors.New("want a reset"), err)
	}
	return nil
}
