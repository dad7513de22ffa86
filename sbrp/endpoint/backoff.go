package endpoint

import (
	"math/rand/v2"
	"time"
)

// Defaults of Backoff.
const (
	DefaultBackoffMin = 50 * time.Millisecond
	DefaultBackoffMax = 30 * time.Second
)

// Backoff is a policy for the time between attempts: exponential with full
// jitter, so that many ends that lost the same relay do not come back in
// step. The n-th Next after a Reset is uniform in [Min/2, Min*1.5^n], and never
// above Max. The growth is gentle, so that what was away for a second is found
// again within a few tenths of one. The zero value is ready to use. It is not for concurrent use.
type Backoff struct {
	// Min is the first upper bound; zero means DefaultBackoffMin.
	Min time.Duration
	// Max is the last upper bound; zero means DefaultBackoffMax.
	Max time.Duration

	// ceiling is the next upper bound; zero after a Reset.
	ceiling time.Duration
}

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	lo, hi := nonZero(b.Min, DefaultBackoffMin), nonZero(b.Max, DefaultBackoffMax)
	hi = max(hi, lo)
	if b.ceiling == 0 {
		b.ceiling = lo
	} else {
		b.ceiling = min(b.ceiling, hi/3*2)/2*3 // no overflow: grown after the cut
	}
	b.ceiling = min(max(b.ceiling, lo), hi)
	// The floor keeps a lucky draw from turning into a tight loop.
	floor := lo / 2
	return floor + rand.N(b.ceiling-floor+1)
}

// Reset starts over: the thing that failed has worked for a while.
func (b *Backoff) Reset() { b.ceiling = 0 }

// throttle is the pause in sending that rate_limited asks for. Its methods
// take now, and are not for concurrent use.
type throttle struct {
	step  time.Duration // of the last pause
	last  time.Time     // when it was asked for
	until time.Time     // nothing is sent before
}

// limited notes one rate_limited and returns when sending may go on. The pause
// doubles while the relay keeps complaining, is jittered over its upper half,
// and never above throttleMax: a relay that lies costs time, not the session.
func (t *throttle) limited(now time.Time) time.Time {
	switch {
	case t.step == 0 || now.Sub(t.last) > throttleForget:
		t.step = throttleMin
	case now.Before(t.until):
		// Complaints about what was sent before the pause do not add up.
		return t.until
	default:
		t.step = min(t.step*2, throttleMax)
	}
	t.last = now
	t.until = now.Add(t.step/2 + rand.N(t.step/2+1))
	return t.until
}
