package mux

import (
	"fmt"
	"time"
)

// SetHoldTime changes the hold time for links that begin from now on; 0 is DefaultHoldTime. The present link keeps its
// own, on which both sides have agreed.
func (c *Client) SetHoldTime(d time.Duration) error {
	d, err := holdTime(d)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.limits.hold = d
	c.mu.Unlock()
	return nil
}

// SetHoldTime changes the hold time for links that begin from now on; 0 is DefaultHoldTime. The present links keep their
// own, on which both sides have agreed.
func (s *Server) SetHoldTime(d time.Duration) error {
	d, err := holdTime(d)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.limits.hold = d
	s.mu.Unlock()
	return nil
}

// CheckHoldTime tells whether a link can have this hold time.
func CheckHoldTime(d time.Duration) error {
	_, err := holdTime(d)
	return err
}

// holdTime checks a hold time and fills in the default.
func holdTime(d time.Duration) (time.Duration, error) {
	if d == 0 {
		return DefaultHoldTime, nil
	}
	if d < minHoldTime || d > maxHoldTime {
		return 0, fmt.Errorf("HoldTime is %v, not within %v and %v", d, minHoldTime, maxHoldTime)
	}
	return d, nil
}
