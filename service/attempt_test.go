package service

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/mux"
)

// A changed network is felt at once: a carrier that leads nowhere is given up in seconds
// and not in tens of them, an attempt that hangs in moments.
func TestRetryNow(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	road := newRoad(t)
	ready := make(chan RelayInfo, 1)
	w.background("relay", func(ctx context.Context) error {
		return RunRelay(ctx, RelayOptions{
			Common: w.common("relay"), Listen: "127.0.0.1:0", PublicURL: "http://" + road.ln.Addr().String(),
			Ready: func(i RelayInfo) { ready <- i },
		}, func(Event) {})
	})
	w.relay = receive(t, "relay", ready)
	road.leadTo(w.relay.Addr)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "echo="+echoServer(t))
	w.pair("daemon", "client")
	road.spare() // the daemon's way is not to suffer

	m, err := openMachine(t.Context(), w.common("client"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	events := make(chan mux.Event, 16)
	c, err := newClient(m, clientOptions{daemon: "daemon", sink: func(Event) {}, onEvent: func(e mux.Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	g, gctx := errgroup.WithContext(ctx)
	runLink(gctx, g, c)
	defer func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	await := func(kind mux.EventKind, within time.Duration) time.Duration {
		t.Helper()
		begin, timer := time.Now(), time.NewTimer(within)
		defer timer.Stop()
		for {
			select {
			case e := <-events:
				if e.Kind == kind {
					return time.Since(begin)
				}
			case <-timer.C:
				t.Fatalf("not %s within %v", kind, within)
			}
		}
	}
	until := func(what string, is func() bool) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(testTimeout); !is(); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within %v", what, testTimeout)
			}
		}
	}
	await(mux.EventConnected, testTimeout)
	until("the link's first exchange is over", func() bool { return c.link.Status().RTT > 0 })

	// The machine has another address now: the old connections are dead and say nothing.
	road.lose()
	c.retryNow()
	t.Logf("back %v after the network changed", await(mux.EventResumed, 8*time.Second))

	// The relay is gone, and the way to it swallows everything: attempts hang.
	road.swallow(true)
	road.cut()
	await(mux.EventHeld, testTimeout)
	until("an attempt hangs", c.hangs)
	road.swallow(false)
	road.lose() // also what was begun just now
	c.retryNow()
	t.Logf("back %v after the network changed in the middle of an attempt", await(mux.EventResumed, 3*time.Second))
}

// hangs tells that an attempt is under way for so long that retryNow gives it up.
func (u *underway) hangs() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.abandon != nil && time.Since(u.begun) > kickSettle
}

// road is the network in front of a relay: a TCP proxy whose connections can get lost.
type road struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex // guards what follows
	relay  string
	swamp  bool // what is begun leads nowhere
	closed bool
	lanes  []*lane
}

// lane is one connection through the road.
type lane struct {
	ends   []net.Conn
	spared bool // lose and cut leave it alone
	lost   bool // it leads nowhere
}

func newRoad(t *testing.T) *road {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &road{ln: ln}
	r.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // ends the loop
		r.each(func(l *lane) {
			r.closed = true
			l.close()
		})
		r.wg.Wait()
	})
	return r
}

// each calls f for each lane with mu held.
func (r *road) each(f func(*lane)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lanes {
		f(l)
	}
}

func (l *lane) close() {
	for _, c := range l.ends {
		_ = c.Close() // it may be closed
	}
}

// carry carries both directions of one connection until it ends or is lost.
func (r *road) carry(c net.Conn) {
	r.mu.Lock()
	l := &lane{ends: []net.Conn{c}, lost: r.swamp}
	r.lanes = append(r.lanes, l)
	addr, on := r.relay, !r.swamp && !r.closed
	r.mu.Unlock()
	if !on {
		return
	}
	up, err := net.Dial("tcp", addr)
	if err != nil {
		_ = c.Close() // as if it had been refused
		return
	}
	r.mu.Lock()
	l.ends = append(l.ends, up)
	r.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { r.copy(c, up, l) })
	r.copy(up, c, l)
	back.Wait()
}

func (r *road) copy(to, from net.Conn, l *lane) {
	_, _ = io.Copy(to, from) // however it ends
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.lost || r.closed {
		l.close()
	}
}

// leadTo says where the relay is.
func (r *road) leadTo(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relay = addr
}

// swallow says whether what is begun from now on leads nowhere.
func (r *road) swallow(all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swamp = all
}

// spare keeps the connections of now from harm.
func (r *road) spare() { r.each(func(l *lane) { l.spared = true }) }

// lose makes the connections of now lead nowhere. Nobody is told.
func (r *road) lose() {
	r.each(func(l *lane) {
		if l.spared {
			return
		}
		l.lost = true
		for _, c := range l.ends {
			_ = c.SetReadDeadline(time.Unix(1, 0)) // ends the copying, not the connection
		}
	})
}

// cut closes the connections of now.
func (r *road) cut() {
	r.each(func(l *lane) {
		if !l.spared && !l.lost {
			l.close()
		}
	})
}
