package muxtest

import "sync"

// hints is what both ends are told about the path.
type hints struct {
	mu      sync.Mutex // guards what follows
	up      bool
	blocked bool // messages do not pass
	resumes uint32
	changed chan struct{}
}

func (h *hints) get() (bool, uint32, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up, h.resumes, h.changed
}

func (h *hints) passes() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.blocked
}

func (h *hints) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *hints) set(up bool, resumes uint32) {
	h.change(func() { h.up, h.blocked, h.resumes = up, !up, resumes })
}

func (h *hints) lie(up bool, resumes uint32) { h.change(func() { h.up, h.resumes = up, resumes }) }
func (h *hints) pause()                      { h.change(func() { h.up, h.blocked = false, true }) }
func (h *hints) resume()                     { h.change(func() { h.up, h.blocked, h.resumes = true, false, h.resumes+1 }) }
