package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"time"

	"culvert/sbrp/wsconn"
)

func TestBackoffBounds(t *testing.T) {
	tests := []struct {
		name     string
		b        Backoff
		min, max time.Duration
	}{
		{"zero value", Backoff{}, DefaultBackoffMin, DefaultBackoffMax},
		{"own bounds", Backoff{Min: time.Second, Max: 3 * time.Second}, time.Second, 3 * time.Second},
		{"max below min", Backoff{Min: time.Second, Max: time.Millisecond}, time.Second, time.Second},
		{"one value", Backoff{Min: time.Second, Max: time.Second}, time.Second, time.Second},
		{"own growth", Backoff{Growth: 1.5}, DefaultBackoffMin, DefaultBackoffMax},
		{"no growth", Backoff{Growth: 0.5}, DefaultBackoffMin, DefaultBackoffMax},
		{"huge", Backoff{Min: 1 << 61, Max: 1<<63 - 1}, 1 << 61, 1<<63 - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ceiling := float64(tt.min)
			for i := range 80 {
				d := tt.b.Next()
				if d < tt.min/2 || d > tt.max && d > tt.min || float64(d) > ceiling {
					t.Fatalf("Next %d = %v, want within [%v, %v]", i, d, tt.min/2, min(time.Duration(ceiling), tt.max))
				}
				ceiling = ceiling*max(1, cmp.Or(tt.b.Growth, DefaultBackoffGrowth)) + 1 // rounding
			}
			tt.b.Reset()
			if d := tt.b.Next(); d > tt.min {
				t.Errorf("Next after Reset = %v, want at most %v", d, tt.min)
			}
		})
	}
}

// The jitter must really spread: ends that lost the same relay must not come
// back in step.
func TestBackoffSpreads(t *testing.T) {
	var low, high int
	for range 1000 {
		b := Backoff{Min: time.Millisecond, Max: time.Second}
		for range 100 {
			b.Next()
		}
		if d := b.Next(); d < 500*time.Millisecond {
			low++
		} else {
			high++
		}
	}
	if low < 350 || high < 350 {
		t.Errorf("of 1000 draws %d are in the lower half and %d in the upper, want about as many", low, high)
	}
}

func TestThrottle(t *testing.T) {
	var th throttle
	now := time.Unix(1000, 0)
	step := throttleMin
	for i := range 12 {
		until := th.limited(now)
		if d := until.Sub(now); d < step/2 || d > step {
			t.Fatalf("pause %d = %v, want within [%v, %v]", i, d, step/2, step)
		}
		if again := th.limited(now.Add(time.Millisecond)); !again.Equal(until) {
			t.Fatalf("a complaint within pause %d moved its end by %v", i, again.Sub(until))
		}
		now = until
		step = min(step*2, throttleMax)
	}
	now = now.Add(throttleForget + time.Second)
	if d := th.limited(now).Sub(now); d > throttleMin {
		t.Errorf("pause after a quiet time = %v, want at most %v", d, throttleMin)
	}
}

func TestLeastPause(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		min, max time.Duration
	}{
		{"nothing said", errors.New("no route"), 0, 0},
		{"dial failed", &wsconn.DialError{Hop: wsconn.HopTCP}, 0, 0},
		{"Retry-After", fmt.Errorf("connect: %w", &wsconn.DialError{RetryAfter: 20 * time.Second}), 20 * time.Second, 20 * time.Second},
		{"absurd Retry-After", &wsconn.DialError{RetryAfter: time.Hour}, maxRetryAfter, maxRetryAfter},
		{"evicted", fmt.Errorf("read: %w", &wsconn.CloseError{Code: wsconn.StatusPolicy}), evictedPause / 2, evictedPause},
		{"relay goes down", &wsconn.CloseError{Code: wsconn.StatusGoingAway}, 0, 0},
	}
	for _, tt := range tests {
		if d := leastPause(tt.err); d < tt.min || d > tt.max {
			t.Errorf("%s: leastPause = %v, want within [%v, %v]", tt.name, d, tt.min, tt.max)
		}
	}
}
