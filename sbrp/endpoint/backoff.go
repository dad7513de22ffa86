package endpoint

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// Defaults of Backoff.
const (
	DefaultBackoffMin    = 50 * time.Millisecond
	DefaultBackoffMax    = 30 * time.Second
	DefaultBackoffGrowth = 1.1
)

// Backoff is a policy for the time between attempts: exponential with full
// jitter, so that many ends that lost the same relay do not come back in
// step. The n-th Next after a Reset is uniform in [Min/2, Min*Growth^n], and
// never above Max. The growth is gentle: while attempts fail at once, a wait is
// a tenth of what has passed on average, so that what was away for three
// seconds is found again within three tenths of one; from an outage of two and
// a half minutes on the bound is Max. The zero value is ready to use. It is not
// for concurrent use.
type Backoff struct {
	// Min is the first upper bound; zero means DefaultBackoffMin.
	Min time.Duration
	// Max is the last upper bound; zero means DefaultBackoffMax.
	Max time.Duration
	// Growth is the factor from one upper bound to the next, at least 1; zero
	// means DefaultBackoffGrowth. What costs the other side something each time
	// wants a larger one.
	Growth float64

	// ceiling is the next upper bound; zero after a Reset.
	ceiling time.Duration
}

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	lo, hi := nonZero(b.Min, DefaultBackoffMin), nonZero(b.Max, DefaultBackoffMax)
	hi = max(hi, lo)
	grown := float64(b.ceiling) * max(1, cmp.Or(b.Growth, DefaultBackoffGrowth))
	if grown < float64(hi) { // else the conversion back could overflow
		b.ceiling = time.Duration(grown)
	} else {
		b.ceiling = hi
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
