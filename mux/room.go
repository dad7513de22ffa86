package mux

import "time"

// smallWrite is the size in bytes up to which a write goes before bulk: a keystroke, a request.
const smallWrite = 2 << 10

// waiter is one writer that waits for room.
type waiter struct {
	ch     chan struct{} // 1: it may be its turn
	queued bool          // guarded by the link's mu, as is need
	need   int           // bytes that it wants room for
}

func newWaiter() *waiter { return &waiter{ch: make(chan struct{}, 1)} }

// roomQueue is a fair queue of writers, guarded by the link's mu.
type roomQueue struct{ list []*waiter }

func (q *roomQueue) first(w *waiter) bool { return len(q.list) == 0 || q.list[0] == w }

func (q *roomQueue) add(w *waiter) {
	if !w.queued {
		w.queued = true
		q.list = append(q.list, w)
	}
}

func (q *roomQueue) remove(w *waiter) {
	if !w.queued {
		return
	}
	w.queued = false
	for i, x := range q.list {
		if x == w {
			copy(q.list[i:], q.list[i+1:])
			q.list[len(q.list)-1] = nil
			q.list = q.list[:len(q.list)-1]
			return
		}
	}
}

// wakeWriters tells the first of each queue to look again, unless it would find that too much is waiting still. mu is held.
func (l *link) wakeWriters() {
	for _, q := range []*roomQueue{&l.small, &l.bulk} {
		if len(q.list) > 0 && (l.closing != nil || l.unsentRoom(q.list[0].need)) {
			signal(q.list[0].ch)
		}
	}
}

// reserve waits until n bytes may be appended and sets room for them aside. Writers are served in order, small ones
// before bulk. It returns errCanceled when cancel or deadline is closed, the link's error when it ends.
func (l *link) reserve(w *waiter, n int, cancel, deadline <-chan struct{}) error {
	q := &l.bulk
	if n <= smallWrite {
		q = &l.small
	}
	l.mu.Lock()
	if q == &l.small && l.att != nil {
		if w := l.tune.wrote(time.Now(), l.att.minRTT); w > 0 {
			l.setWindow(min(w, l.window))
		}
	}
	for {
		if l.endErr != nil || l.closing != nil {
			q.remove(w)
			err := l.endErr
			if err == nil {
				err = l.closing
			}
			l.mu.Unlock()
			return err
		}
		var victim *link
		if q.first(w) {
			var ok bool
			if ok, victim = l.roomFor(n); ok {
				q.remove(w)
				l.reserved += n
				l.wakeWriters()
				l.mu.Unlock()
				return nil
			}
		}
		w.need = n
		q.add(w)
		if !l.busy && l.sendable() {
			signal(l.kick) // appendData may have left something to wait for more
		}
		l.mu.Unlock()
		if victim != nil {
			victim.end(&LinkError{Code: CodeBudget, Text: "held for longest when memory ran out"}, true)
			l.mu.Lock()
			continue
		}
		select {
		case <-w.ch:
		case <-l.budgetFreed:
			l.mu.Lock()
			l.wakeWriters() // it may be another's turn
			l.mu.Unlock()
		case <-l.done:
		case <-cancel:
			l.giveUp(q, w)
			return errCanceled
		case <-deadline:
			l.giveUp(q, w)
			return errCanceled
		}
		l.mu.Lock()
	}
}

// giveUp takes a writer out of its queue.
func (l *link) giveUp(q *roomQueue, w *waiter) {
	l.mu.Lock()
	q.remove(w)
	l.wakeWriters()
	l.mu.Unlock()
}

// unsentMax gives how many bytes of bulk may wait before the carrier: a quarter of what may be in flight. mu is held.
func (l *link) unsentMax() int {
	return min(max(int(l.peerLimit-l.buf.start)/4, leastUnsent), maxUnsent)
}

// unsentRoom tells whether n bytes more may wait before the carrier. mu is held.
func (l *link) unsentRoom(n int) bool {
	pending := int(l.buf.end-l.sent) + l.reserved
	unsent := l.unsentMax()
	if n <= smallWrite {
		unsent += unsent / 2 // a keystroke need not wait for bulk to drain
	}
	return pending == 0 || pending+n <= unsent
}

// turn gives one stream's turn in bytes: on a path on which it takes no time, what fills a message.
func (l *link) turn() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsentMax() < maxUnsent {
		return smallTurn
	}
	return largeTurn
}

// roomFor tells whether n bytes more may wait. If only memory is missing, victim may be a held link to end for it. mu is
// held.
func (l *link) roomFor(n int) (ok bool, victim *link) {
	if !l.unsentRoom(n) {
		return false, nil
	}
	kept := int(l.buf.end-l.buf.start) + l.reserved
	if kept > 0 && kept+n > l.sendMax {
		return false, nil
	}
	chunks := l.buf.missing(l.reserved + n)
	if chunks > 0 {
		if ok, victim = l.budget.take(l, chunks, l.state == StateLive); !ok {
			return false, victim
		}
		l.buf.grow(chunks)
		l.chunks.Add(int32(chunks))
	}
	return true, nil
}

// append writes a and b to the stream as one piece, for which room was reserved, or without (reserved 0) for what is
// small and cannot wait. It never waits.
func (l *link) append(a, b []byte, reserved int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.appendLocked(a, b, reserved); err != nil {
		return err
	}
	if l.sendable() {
		signal(l.kick)
	}
	return nil
}

// appendData is append for a writer that has no lock and may wait for the carrier. more says that it will append more at
// once: what does not fill a message waits for that. now says that the writer shall call sendNow: nobody else is sending.
func (l *link) appendData(a, b []byte, reserved int, more bool) (now bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.appendLocked(a, b, reserved); err != nil {
		return false, err
	}
	if l.busy || !l.sendable() || more && l.buf.end-l.sent < uint64(l.att.max) {
		return false, nil
	}
	l.busy = true
	return true, nil
}

func (l *link) appendLocked(a, b []byte, reserved int) error {
	l.reserved -= reserved
	if l.endErr != nil {
		return l.endErr
	}
	n := len(a) + len(b)
	if chunks := l.buf.missing(l.reserved + n); chunks > 0 {
		l.budget.force(chunks)
		l.buf.grow(chunks)
		l.chunks.Add(int32(chunks))
	}
	l.buf.write(a)
	l.buf.write(b)
	l.startWaiting()
	return nil
}

// unreserve gives back room that is not used after all.
func (l *link) unreserve(n int) {
	l.mu.Lock()
	l.reserved -= n
	l.wakeWriters()
	l.mu.Unlock()
}

// crowded tells whether what cannot wait has piled up beyond reason: the peer asks for answers and takes none.
func (l *link) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.buf.end-l.buf.start) > l.sendMax+maxControl
}
