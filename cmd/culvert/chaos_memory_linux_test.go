package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"culvert/mux"
)

const (
	// baseMemory is what a process holds that has nothing to keep: its code, the runtime and
	// its collector's bookkeeping, and for each of 100 sessions TLS, WebSocket, keys, yamux
	// and some 20 goroutines. Measured: 40 to 70 MiB.
	baseMemory = 96 << 20
	// clientMemory is the same for a client with one link: what it keeps for sending again, what
	// its streams have not been read of, and its base.
	clientMemory = mux.DefaultWindowMax + 2*mux.DefaultStreamWindow + 48<<20
	// numbWindow is what a client lets the daemon send ahead: the most that a link keeps.
	numbWindow = mux.DefaultWindowMax
)

// chaosMemory fills the daemon's buffers for sending again to the brim: 100 clients take
// what is sent and acknowledge nothing, then all are gone and all links are held. No
// process holds more than its budget and what it needs anyway.
func chaosMemory(t *testing.T, bin string) {
	l := newLab(t, bin)
	count, enough := 100, int64(90) // per cent: who does not read fast enough is cut off before
	if testing.Short() {
		count, enough = 12, 50
	}
	if raceEnabled { // the bounds say nothing then
		count, enough = 4, 0
	}
	budget := int64(min(mux.DefaultBudget, count*numbWindow))
	size := bulk(128<<20, 32<<20)
	tr, sink, source := newTraffic(l, size)
	daemon := l.expose("flood="+l.serveFlood(), "sink="+sink, "source="+source)
	other := newRoute(t, &l.addr)
	l.pair("client", other)
	client, at := l.forward("client", other, nil, "sink", "source")
	bounds := map[*part]int64{daemon: budget + baseMemory, l.relay: baseMemory, client: clientMemory}
	most := map[*part]int64{}
	look := func(when string) {
		for p, bound := range bounds {
			now := rss(t, p)
			most[p] = max(most[p], now)
			if when != "" {
				t.Logf("%s: %s holds %d MiB, %d at most so far, bound %d MiB", when, p.name, now>>20, most[p]>>20, bound>>20)
			}
		}
	}
	look("before")

	crowd := l.numbClients(count)
	defer crowd.leave()
	crowd.drink(t)
	var got int64
	for last, since := int64(0), time.Now(); time.Since(since) < time.Second && got < budget; l.wait(50 * time.Millisecond) {
		if got = crowd.received.Load(); got != last {
			last, since = got, time.Now()
		}
		look("")
	}
	t.Logf("%d clients have taken %d MiB and acknowledged nothing; the daemon's budget is %d MiB", count, got>>20, budget>>20)
	if got < budget/100*enough {
		t.Errorf("buffers are not full: %d bytes of %d", got, budget)
	}
	look("full")
	l.clientRoute.reset()
	seen := 0 // a client that did not read fast enough was lost before
	for range count {
		daemon.next(seen, patience, "held")
		seen = daemon.after(seen, "held")
	}
	look("held")

	// Beside them somebody works.
	tr.allow(size)
	tr.start(at["sink"], at["source"])
	for received := int64(0); received < 2*size; l.wait(50 * time.Millisecond) {
		up, _ := tr.up.arrived()
		down, _ := tr.down.arrived()
		received = up + down
		look("")
	}
	tr.finish(patience)
	look("held, beside a transfer")
	for p, bound := range bounds {
		if most[p] > bound && !raceEnabled {
			t.Errorf("%s has held %d MiB, want %d at most", p.name, most[p]>>20, bound>>20)
		}
	}
}

// after is how many events there were up to the first of this name after the first n.
func (p *part) after(n int, name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.told[n:] {
		if e.Event == name {
			return n + i + 1
		}
	}
	return n
}

// serveFlood runs a server that sends without end.
func (l *lab) serveFlood() (addr string) {
	l.t.Helper()
	return l.serve(func(c *net.TCPConn) {
		if !greeted(c) {
			return
		}
		for piece := make([]byte, flowPiece); ; {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	})
}

// rss is how much memory a process holds now, in bytes.
func rss(t *testing.T, p *part) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no VmRSS in %q", text)
	return 0
}
