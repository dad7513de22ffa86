package mux

import (
	"container/list"
	"sync"
	"time"
)

// Budget bounds the bytes that all links sharing it keep for sending again. When it is used up, a live link that wants
// more ends the link that has been held longest (if that keeps anything, and not before evictAfter) and else waits; a
// held link that wants more waits. Two things may exceed it a little: spareChunks of each live link, so that links whose peers acknowledge nothing
// cannot silence the others, and what yamux needs to say of itself (a few bytes a stream).
type Budget struct {
	max int64 // immutable

	mu      sync.Mutex // guards what follows; taken under a link's mu, never the other way round
	used    int64
	held    list.List          // of *heldLink, longest held first
	waiters map[*link]struct{} // links whose writers want to hear when something is given back
}

// NewBudget makes a budget of so many bytes; 0 means DefaultBudget. Less than some chunks of 64 KiB a link starves.
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		bytes = DefaultBudget
	}
	return &Budget{max: bytes, waiters: make(map[*link]struct{})}
}

// Used tells how many bytes are kept now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// spareChunks is what a live link may keep although the budget is used up: one turn of a stream and what is on its way.
const spareChunks = 2

// take asks for n chunks. Refused, the link hears by its room signal when asking again may help, and victim is a held
// link to end for it, if there is one that keeps something and the asking link is live.
func (b *Budget) take(l *link, n int, live bool) (ok bool, victim *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+int64(n)*chunkSize <= b.max {
		b.used += int64(n) * chunkSize
		return true, nil
	}
	b.waiters[l] = struct{}{}
	if live {
		for e := b.held.Front(); e != nil; e = e.Next() {
			h := e.Value.(*heldLink)
			if time.Since(h.since) < evictAfter {
				break // and those behind it were held later
			}
			if h.link != l && h.link.chunks.Load() > 0 {
				return false, h.link
			}
		}
		if int(l.chunks.Load())+n <= spareChunks {
			b.used += int64(n) * chunkSize
			delete(b.waiters, l)
			return true, nil
		}
	}
	return false, nil
}

// force takes n chunks in any case.
func (b *Budget) force(n int) {
	b.mu.Lock()
	b.used += int64(n) * chunkSize
	b.mu.Unlock()
}

// give returns n chunks and wakes those who wait for some.
func (b *Budget) give(n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.used -= int64(n) * chunkSize
	b.wake()
	b.mu.Unlock()
}

// wake tells all who wait to ask again. mu is held.
func (b *Budget) wake() {
	for l := range b.waiters {
		delete(b.waiters, l)
		signal(l.budgetFreed)
	}
}

// heldLink is a link in the list of those that are held.
type heldLink struct {
	link  *link
	since time.Time
	due   *time.Timer // wakes those who wait: they may end it then
}

// hold enters a link that has just lost its path.
func (b *Budget) hold(l *link) {
	b.mu.Lock()
	if l.heldEntry == nil {
		due := time.AfterFunc(evictAfter, func() {
			b.mu.Lock()
			b.wake()
			b.mu.Unlock()
		})
		l.heldEntry = b.held.PushBack(&heldLink{l, time.Now(), due})
	}
	b.mu.Unlock()
}

// unhold removes a link that is live again or has ended.
func (b *Budget) unhold(l *link) {
	b.mu.Lock()
	if l.heldEntry != nil {
		b.held.Remove(l.heldEntry).(*heldLink).due.Stop()
		l.heldEntry = nil
	}
	b.mu.Unlock()
}

// forget removes a link that has ended.
func (b *Budget) forget(l *link) {
	b.unhold(l)
	b.mu.Lock()
	delete(b.waiters, l)
	b.mu.Unlock()
}

// signal wakes the one who waits on a channel of capacity 1.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
