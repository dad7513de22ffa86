//go:build unix

package main

import (
	"testing"
	"time"
)

// relaySlack is what the relay may grow by for one client that does not read: its queue
// (4 MiB), as much again as the collector lets lie, and the buffers of what passes.
const relaySlack = 24 << 20

// chaosStall has a local program that does not read, and then a whole client that does
// not: only what is theirs stands still.
func chaosStall(t *testing.T, bin string) {
	l := newLab(t, bin)
	size := bulk(256<<20, 48<<20)
	mine, mySink, mySource := newTraffic(l, size)
	theirs, theirSink, theirSource := newTraffic(l, size)
	stuck, stuckSink, stuckSource := newTraffic(l, size)
	daemon := l.expose("echo="+l.serveEcho(), "sink="+mySink, "source="+mySource,
		"theirsink="+theirSink, "theirsource="+theirSource, "stucksink="+stuckSink, "stucksource="+stuckSource)
	l.pair("client", l.clientRoute)
	l.pair("other", l.clientRoute)
	_, at := l.forward("client", l.clientRoute, nil, "echo", "sink", "source", "stucksource")
	other, theirAt := l.forward("other", l.clientRoute, nil, "theirsink", "theirsource")

	// One local program asks for a stream and reads nothing of it.
	idle := l.dial(at["stucksource"])
	if _, err := idle.Write(hello); err != nil {
		t.Fatal(err)
	}
	stuck.allow(size)
	ping := l.ping(l.dial(at["echo"]))
	ping()
	mine.start(at["sink"], at["source"])
	mine.allow(size / 2)
	mine.reach(size/2, patience)
	t.Logf("beside a local program that reads nothing: %v for an answer", ping())

	// The other client's machine stops in the middle of its transfer.
	theirs.start(theirAt["theirsink"], theirAt["theirsource"])
	theirs.allow(size)
	theirs.reach(size/16, patience)
	before := rss(t, l.relay)
	other.stop()
	begin, seen := time.Now(), daemon.events()
	mine.allow(size)
	var slowest time.Duration
	for time.Since(begin) < 3*time.Second {
		slowest = max(slowest, ping())
	}
	mine.finish(2 * patience)
	t.Logf("beside a client that has stopped: the transfer took %v, an answer %v at most", time.Since(begin), slowest)
	if slowest > 2*time.Second {
		t.Errorf("beside a client that has stopped an answer took %v", slowest)
	}
	// What the relay keeps for the client that has stopped is bounded; then it ends it.
	daemon.next(seen, 30*time.Second, "held")
	t.Logf("the relay has %d KiB, %d KiB before", rss(t, l.relay)>>10, before>>10)
	if grown := rss(t, l.relay) - before; grown > relaySlack {
		t.Errorf("the relay has grown by %d KiB", grown>>10)
	}
	seen = other.events()
	other.wake()
	other.next(seen, patience, "resumed")
	theirs.finish(2 * patience)
}
