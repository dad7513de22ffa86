package main

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// conditions are those of a path, each way on each leg.
type conditions struct {
	rate  float64       // bit/s
	delay time.Duration // one way
	loss  float64       // chance of a packet to be lost
	dark  bool          // nothing passes
}

// queueTime is what the queue in front of the bottleneck holds: a quarter of a typical home router's, half of the path's round trip.
const queueTime = 50 * time.Millisecond

// lane is one direction of a leg: a queue that is emptied at a rate, then a delay. All methods may be called concurrently.
type lane struct {
	now atomic.Pointer[conditions]

	mu   sync.Mutex
	next time.Time // guarded by mu; when the bottleneck has sent what it was given
}

func newLane() *lane {
	l := &lane{}
	l.now.Store(&conditions{rate: 1e9})
	return l
}

// admit puts n bytes in the queue and says when they arrive; false: they are lost.
func (l *lane) admit(n int) (time.Time, bool) {
	c := l.now.Load()
	if c.dark || c.loss > 0 && rand.Float64() < c.loss {
		return time.Time{}, false
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.Before(now) {
		l.next = now
	}
	if l.next.Sub(now) > queueTime {
		return time.Time{}, false
	}
	l.next = l.next.Add(time.Duration(float64(n) * 8 / c.rate * 1e9))
	return l.next.Add(c.delay), true
}

// backlog is how long the queue takes to empty.
func (l *lane) backlog() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.next)
}

// leg is what lies between one end's machine and the relay's.
type leg struct{ out, in *lane }

func newLeg() *leg { return &leg{newLane(), newLane()} }

func (g *leg) set(c conditions) {
	g.out.now.Store(&c)
	g.in.now.Store(&c)
}

// alarm waits for moments in time, with one timer.
type alarm struct{ t *time.Timer }

func newAlarm() alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return alarm{t}
}

// until waits for at, or until stop is closed.
func (a alarm) until(at time.Time, stop <-chan struct{}) {
	d := time.Until(at)
	if d <= 0 {
		return
	}
	a.t.Reset(d)
	select {
	case <-a.t.C:
	case <-stop:
	}
}
