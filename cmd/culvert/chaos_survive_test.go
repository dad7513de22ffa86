//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// outage is one way to lose the path. away and back take it and bring it; back returns when
// nothing stands in the way any more.
type outage struct {
	kind   string
	lasts  time.Duration // how long it is away, from when both ends know it
	silent bool          // nobody is told: the ends have to notice
	away   func()
	back   func() time.Time
}

// recoveries are the times from the path's return to the first byte, by kind of outage.
type recoveries struct {
	kinds []string
	took  map[string][]time.Duration
}

func (r *recoveries) add(kind string, d time.Duration) {
	if r.took == nil {
		r.took = map[string][]time.Duration{}
	}
	if !slices.Contains(r.kinds, kind) {
		r.kinds = append(r.kinds, kind)
	}
	r.took[kind] = append(r.took[kind], d)
}

func (r *recoveries) median(kind string) time.Duration {
	all := slices.Sorted(slices.Values(r.took[kind]))
	return all[len(all)/2]
}

// check fails the test when it took far too long after those losses that all ends hear of
// at once. The aim is 300 ms; a busy machine is allowed some more.
func (r *recoveries) check(t *testing.T) {
	const bound = 2 * time.Second
	for _, kind := range r.kinds {
		if d := r.median(kind); d > bound && !strings.Contains(kind, "silent") {
			t.Errorf("%s: bytes flow after %s, the median, want %s at most", kind, millis(d), millis(bound))
		}
	}
}

// table is the recoveries for people.
func (r *recoveries) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-34s %2s %10s %10s   %s\n", "from \"path is back\" to \"bytes flow\"", "n", "median", "max", "each")
	for _, kind := range r.kinds {
		all := r.took[kind]
		fmt.Fprintf(&b, "%-34s %2d %10s %10s  ", kind, len(all), millis(r.median(kind)), millis(slices.Max(all)))
		for _, d := range all {
			fmt.Fprintf(&b, " %s", millis(d))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

// chaosSurvive is the promise that sells culvert: a transfer each way, a quiet connection
// and two ssh sessions live through everything that can happen to relay and network.
func chaosSurvive(t *testing.T, bin string) {
	l := newLab(t, bin)
	size := bulk(1<<30, 96<<20)
	tr, sink, source := newTraffic(l, size)
	targets := []string{"sink=" + sink, "source=" + source, "echo=" + l.serveEcho()}
	sshAddr, haveSSH := l.sshd()
	if haveSSH {
		targets = append(targets, "ssh="+sshAddr)
	}
	daemon := l.expose(targets...)
	l.pair("client", l.clientRoute)
	client, at := l.forward("client", l.clientRoute, nil, "sink", "source", "echo")
	quiet := l.ping(l.dial(at["echo"]))
	var shells []*shell
	if haveSSH {
		l.pair("other", l.clientRoute)
		proxy := fmt.Sprintf("ProxyCommand=%s stdio --state-dir %s %%h ssh", l.bin, l.path("other"))
		shells = append(shells, l.ssh("ssh by stdio", l.via(l.clientRoute), "-o", proxy, "laptop", "sh"))
		_, more := l.forward("client", l.clientRoute, nil, "ssh")
		host, port, _ := strings.Cut(more["ssh"], ":")
		shells = append(shells, l.ssh("ssh by forward", nil, "-p", port, host, "sh"))
	}
	tr.start(at["sink"], at["source"])
	var took recoveries
	all := l.outages(testing.Short())
	slice := size / int64(len(all)+1)
	for i, c := range all {
		begin := int64(i) * slice
		tr.allow(begin + slice)
		tr.reach(begin+slice/8, patience)
		atClient, atDaemon := client.events(), daemon.events()
		c.away()
		if c.silent {
			client.next(atClient, patience, "held") // how soon is for chaosDead
			daemon.next(atDaemon, patience, "held")
		}
		tr.rest(100 * time.Millisecond)
		l.wait(c.lasts)
		tr.allow(begin + 2*slice)
		mark := c.back()
		tr.expect(mark)
		d := tr.resumed(patience)
		took.add(c.kind, d)
		t.Logf("%s, away for %v more: bytes flow after %s", c.kind, c.lasts, millis(d))
		quiet()
		for _, s := range shells {
			s.answers()
		}
		tr.check()
	}
	tr.allow(size)
	tr.finish(2 * patience)
	for _, s := range shells {
		s.bye()
	}
	t.Log(took.table())
	took.check(t)
	for _, e := range client.all() {
		if e.Event == "lost" {
			t.Errorf("the client tells that it has lost %d connections: %s", e.Connections, e.Reason)
		}
	}
}

// outages are the ways in which the path is lost during a transfer.
func (l *lab) outages(short bool) []outage {
	var all []outage
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	restart := func() time.Time { l.startRelay(); return time.Now() }
	back := func(r *route, how func()) func() time.Time {
		return func() time.Time { now := time.Now(); how(); return now }
	}
	for _, s := range []float64{0.2, 0.5, 1, 2, 4} {
		all = append(all, outage{kind: "relay: kill -9 and restart", lasts: seconds(s), away: l.killRelay, back: restart})
	}
	for name, r := range map[string]*route{"daemon": l.daemonRoute, "client": l.clientRoute} {
		for _, s := range []float64{0.2, 1, 3} {
			all = append(all, outage{kind: name + "'s path: reset", lasts: seconds(s), away: r.reset, back: back(r, r.pass)})
		}
		all = append(all,
			outage{kind: name + "'s path: silent, goes on", lasts: seconds(1), silent: true, away: r.drop, back: back(r, r.pass)},
			outage{kind: name + "'s path: silent, forgotten", lasts: seconds(1), silent: true, away: r.drop, back: back(r, r.forget)},
		)
	}
	all = append(all, outage{kind: "relay: kill -STOP for 20 s", lasts: seconds(20),
		away: func() { l.relay.stop() },
		back: func() time.Time { now := time.Now(); l.relay.wake(); return now },
	})
	if !short {
		return all
	}
	return all[:2]
}
