package service

import "time"

// failLater has a target that is not available end the forward once that has lasted for the
// timeout.
func (l *listener) failLater(fail func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f.o.timeout == 0 || l.down != nil || l.state != forwardUnavailable {
		return
	}
	l.down = time.AfterFunc(l.f.o.timeout, func() {
		l.mu.Lock()
		still, err := l.state == forwardUnavailable, l.trouble
		l.mu.Unlock()
		if still {
			fail(err)
		}
	})
}

// reached takes back failLater.
func (l *listener) reached() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		l.down.Stop()
		l.down = nil
	}
}
