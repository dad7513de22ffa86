package mux

import (
	"sync"
	"time"
)

// deadline is a point in time that can be moved; wait's channel is closed when it has come. The zero value is never.
type deadline struct {
	mu    sync.Mutex // guards what follows
	timer *time.Timer
	ch    chan struct{}
	past  bool // ch is closed
}

// wait gives the channel that is closed at the deadline, wherever it is moved to until then.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

func (d *deadline) expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past
}

// set moves the deadline; the zero time means never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.past || d.ch == nil {
		d.ch, d.past = make(chan struct{}), false
	}
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		ch := d.ch
		d.timer = time.AfterFunc(left, func() { d.expire(ch) })
		return
	}
	d.past = true
	close(d.ch)
}

// expire closes ch unless the deadline was moved meanwhile.
func (d *deadline) expire(ch chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == ch && !d.past && d.timer != nil {
		d.past = true
		close(d.ch)
	}
}
