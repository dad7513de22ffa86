package control

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds a limiter's memory (some 100 bytes each). Beyond it, newcomers
// share one bucket: an attacker with many addresses then slows newcomers down, and
// neither gets free tries nor eats the memory.
const maxBuckets = 10_000

// limiter is a token bucket per key: perMinute at once, refilled at that rate.
// Its methods may run concurrently and do not block.
type limiter struct {
	perMinute int

	mu      sync.Mutex // guards what follows
	buckets map[string]*rate.Limiter
	shared  *rate.Limiter
}

func newLimiter(perMinute int) *limiter {
	l := &limiter{perMinute: perMinute, buckets: map[string]*rate.Limiter{}}
	l.shared = l.bucket()
	return l
}

func (l *limiter) bucket() *rate.Limiter {
	return rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.perMinute)
}

// take takes a token. If there is none it returns how long until there is one.
func (l *limiter) take(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= maxBuckets {
			l.drop(now)
		}
		if len(l.buckets) >= maxBuckets {
			b = l.shared
		} else {
			b = l.bucket()
			l.buckets[key] = b
		}
	}
	if b.AllowN(now, 1) {
		return 0, true
	}
	return untilNext(b, now), false
}

// spent says how long until there is a token, 0 if there is one. It takes none.
func (l *limiter) spent(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) < maxBuckets {
			return 0
		}
		b = l.shared
	}
	return untilNext(b, now)
}

func untilNext(b *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - b.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(b.Limit()) * float64(time.Second))
}

// prune forgets the buckets that are full again: a new one would be the same.
func (l *limiter) prune(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(now)
}

func (l *limiter) drop(now time.Time) {
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(l.buckets, key)
		}
	}
}

// bucketOf is the limiter key of an address: the address itself, for IPv6 its /64,
// which is what one customer gets.
func bucketOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, err := a.Prefix(64)
		if err == nil {
			return p.String()
		}
	}
	return a.String()
}
