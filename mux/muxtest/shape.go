package muxtest

import (
	"sync"
	"time"
)

// Shape is a path with a bottleneck: a queue that never says no and sends on at Rate, then Latency one way. It is for
// bubbles with a fake clock.
type Shape struct {
	Rate    int // bytes a second
	Latency time.Duration

	mu   sync.Mutex
	free [2]time.Time // when the bottleneck has sent what is queued, for each direction
}

// Fault delays each message as the path would.
func (s *Shape) Fault(side, _ int, msg []byte) Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.free[side].Before(now) {
		s.free[side] = now
	}
	s.free[side] = s.free[side].Add(time.Duration(len(msg)) * time.Second / time.Duration(s.Rate))
	return Action{Delay: s.free[side].Sub(now) + s.Latency}
}
