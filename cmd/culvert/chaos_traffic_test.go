//go:build unix

package main

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// traffic is a flow each way through one client, and what both ends of each said.
type traffic struct {
	l        *lab
	up, down *flow
	ends     chan error     // one of each of the four ends
	heard    int            // how many of ends have been read
	locals   sync.WaitGroup // the local programs
}

// newTraffic makes the targets for a flow of size bytes each way. The flows begin with start.
func newTraffic(l *lab, size int64) (tr *traffic, sink, source string) {
	tr = &traffic{l: l, up: newFlow(1, size), down: newFlow(2, size), ends: make(chan error, 4)}
	serve := func(who string, end func(*net.TCPConn) error) (addr string) {
		return l.serve(func(c *net.TCPConn) {
			if greeted(c) {
				tr.ended(who, end(c))
			}
		})
	}
	sink, source = serve("target of the upload", tr.up.sink), serve("target of the download", tr.down.source)
	l.t.Cleanup(func() {
		tr.allow(size) // when the test has failed: nobody waits for it any more
		tr.locals.Wait()
	})
	return tr, sink, source
}

func (tr *traffic) ended(who string, err error) {
	if err != nil {
		err = fmt.Errorf("%s: %w", who, err)
	}
	tr.ends <- err
}

// start opens the local connections; bytes flow as far as allow lets them.
func (tr *traffic) start(sink, source string) {
	tr.l.t.Helper()
	up, down := tr.l.dial(sink), tr.l.dial(source)
	tr.locals.Go(func() { tr.ended("local program that uploads", tr.up.upload(up)) })
	tr.locals.Go(func() { tr.ended("local program that downloads", tr.down.download(down)) })
}

func (tr *traffic) allow(offset int64) {
	tr.up.allow(offset)
	tr.down.allow(offset)
}

func (tr *traffic) expect(mark time.Time) {
	tr.up.expect(mark)
	tr.down.expect(mark)
}

// reach waits until both flows have come so far.
func (tr *traffic) reach(offset int64, within time.Duration) {
	tr.l.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for name, f := range map[string]*flow{"upload": tr.up, "download": tr.down} {
		if !f.so(timer.C, func() bool { return f.received >= offset }) {
			n, at := f.arrived()
			tr.check()
			tr.l.t.Fatalf("%s: %d bytes have not arrived within %v, but %d, %v ago", name, offset, within, n, time.Since(at))
		}
	}
}

// rest waits until nothing has arrived for a moment: what was on its way has arrived or
// is lost.
func (tr *traffic) rest(moment time.Duration) {
	for _, f := range []*flow{tr.up, tr.down} {
		for {
			timer := time.NewTimer(moment)
			before, _ := f.arrived()
			moved := f.so(timer.C, func() bool { return f.received > before })
			timer.Stop()
			if !moved {
				break
			}
		}
	}
}

// resumed waits until something has arrived on both since expect, and tells how long the
// slower one took.
func (tr *traffic) resumed(within time.Duration) time.Duration {
	tr.l.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	var slowest time.Duration
	for _, f := range []*flow{tr.up, tr.down} {
		var first time.Time
		if !f.so(timer.C, func() bool { first = f.first; return !first.IsZero() }) {
			tr.check()
			tr.l.t.Fatalf("no byte flows within %v", within)
		}
		slowest = max(slowest, first.Sub(f.mark))
	}
	return slowest
}

// check fails the test if one of the four ends has said an error so far.
func (tr *traffic) check() {
	tr.l.t.Helper()
	for range len(tr.ends) {
		tr.heard++
		if err := <-tr.ends; err != nil {
			tr.l.t.Errorf("%v", err)
		}
	}
}

// finish waits for all four ends, which must have no error.
func (tr *traffic) finish(within time.Duration) {
	tr.l.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for ; tr.heard < cap(tr.ends); tr.heard++ {
		select {
		case err := <-tr.ends:
			if err != nil {
				tr.l.t.Errorf("%v", err)
			}
		case <-timer.C:
			up, _ := tr.up.arrived()
			down, _ := tr.down.arrived()
			tr.l.t.Fatalf("the transfer has not ended within %v: %d of 4 ends have, up %d, down %d of %d", within, tr.heard, up, down, tr.up.size)
		}
	}
}
