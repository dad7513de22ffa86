package relay

import (
	"time"

	"golang.org/x/time/rate"
)

// What a reader lets through before it asks the clock: a limit must not cost every frame something.
const (
	paceMessages = 32
	paceBytes    = 256 << 10
)

// pacer holds one peer's reader to a Rate. It belongs to that reader's goroutine. nil lets everything pass.
type pacer struct {
	messages, bytes *rate.Limiter // nil: no limit
	most            Rate          // let through before the clock is asked
	passed          Rate          // since it was asked last
	told            time.Time

	closed <-chan struct{} // ends a wait
	tell   func()          // says rate_limited to the peer
	stats  *stats
}

// newPacer returns a pacer for r. A second's worth may come at once.
func newPacer(r Rate, st *stats, closed <-chan struct{}, tell func()) *pacer {
	if r == (Rate{}) {
		return nil
	}
	p := &pacer{closed: closed, tell: tell, stats: st}
	if r.Messages > 0 {
		p.most.Messages = min(max(r.Messages/8, 1), paceMessages)
		p.messages = rate.NewLimiter(rate.Limit(r.Messages), max(r.Messages, p.most.Messages))
	}
	if r.Bytes > 0 {
		p.most.Bytes = min(r.Bytes/8, paceBytes)
		p.bytes = rate.NewLimiter(rate.Limit(r.Bytes), r.Bytes+p.most.Bytes) // a frame may come on top of what has passed
	}
	return p
}

// spend notes one message that has been handled, and blocks before the next is read if the peer is too fast.
func (p *pacer) spend(n int) {
	if p == nil {
		return
	}
	p.passed.Messages++
	p.passed.Bytes += n
	if (p.messages == nil || p.passed.Messages < p.most.Messages) && (p.bytes == nil || p.passed.Bytes < p.most.Bytes) {
		return
	}
	now := time.Now()
	debt := max(owed(p.messages, now, p.passed.Messages), owed(p.bytes, now, p.passed.Bytes))
	p.passed = Rate{}
	if debt > 0 {
		p.wait(now, debt)
	}
}

// owed takes n from the bucket, and returns how long until it is as full as it should be.
func owed(l *rate.Limiter, now time.Time, n int) time.Duration {
	if l == nil || l.AllowN(now, n) {
		return 0
	}
	return l.ReserveN(now, n).DelayFrom(now)
}

func (p *pacer) wait(now time.Time, d time.Duration) {
	p.stats.slowed.Add(1)
	if p.told.IsZero() || now.Sub(p.told) >= RateWindow {
		p.told = now
		p.tell()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.closed:
	}
}
