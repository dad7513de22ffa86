package mux

import (
	"testing"
	"testing/synctest"
	"time"
)

// shrinker is a yamux stream that counts how often its buffer was given back.
type shrinker struct {
	yamuxStream
	shrunk int
}

func (s *shrinker) Shrink() { s.shrunk++ }

// The buffer goes when bulk is over, once, and not while it lasts.
func TestBufferIsGivenBackWhenQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ys := &shrinker{}
		s := &Stream{ys: ys}
		after := func(d time.Duration, want int, when string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			s.reading.Lock()
			defer s.reading.Unlock()
			if ys.shrunk != want {
				t.Errorf("%s: given back %d times, want %d", when, ys.shrunk, want)
			}
		}
		for range 100 {
			s.shrink(1, 100)
		}
		after(time.Minute, 0, "a few bytes")
		for range 50 { // five seconds of bulk whose reader keeps up
			s.shrink(shrinkAfter, 2*shrinkAfter)
			after(quietTime/10, 0, "bulk")
		}
		after(3*quietTime, 1, "quiet")
		after(time.Minute, 1, "still quiet")

		s.shrink(shrinkAfter, shrinkAfter) // more is left in the buffer
		after(3*quietTime, 1, "reader stalls")
		s.shrink(1, 100)
		after(3*quietTime, 2, "the stalled reader has emptied it")

		s.shrink(shrinkAfter, 2*shrinkAfter)
		s.shrink(10, 10) // and then something comes that is not taken whole
		after(3*quietTime, 2, "not empty")
		s.shrink(10, 100)
		after(3*quietTime, 3, "empty again")
	})
}
