package tunnel

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// StreamInfo is one connection of a client to a target, as a daemon sees it.
type StreamInfo struct {
	ID         uint64 // unique within the Exposer
	Client     [32]byte
	ClientName string  // what the daemon calls the client
	Target     string  // the target's name; empty with Measure
	Measure    Measure // what a measuring stream does; empty: it is a connection
	Address    string  // the HOST:PORT that the client named; network targets only
	Since      time.Time
	BytesIn    int64 // from the client so far
	BytesOut   int64 // to the client so far
}

// End says why a connection ended.
type End string

// The reasons.
const (
	EndDone        End = "done"         // both sides had nothing more to say
	EndClientReset End = "client_reset" // the client's side was reset or lost
	EndTargetReset End = "target_reset" // the target's side was reset or lost
	EndRevoked     End = "revoked"      // the client's grant is gone, or the target is
	EndShutdown    End = "shutdown"     // the daemon is ending, or the client's link has ended
)

// live is one stream from its grant check to its end.
type live struct {
	info    StreamInfo // without the byte counts
	in, out atomic.Int64
	cancel  context.CancelFunc // ends the dial

	mu    sync.Mutex // guards the rest
	ended End        // set once, by the first to end it
	parts []duplex   // what to reset
}

// attach adds something that end will reset. False: the stream has been ended
// already, and d is reset.
func (l *live) attach(d duplex) bool {
	l.mu.Lock()
	ended := l.ended != ""
	if !ended {
		l.parts = append(l.parts, d)
	}
	l.mu.Unlock()
	if ended {
		_ = d.Reset() // nobody is there to be told
	}
	return !ended
}

// end ends the stream from outside; the first reason stays.
func (l *live) end(why End) {
	l.mu.Lock()
	var parts []duplex
	if l.ended == "" {
		l.ended, parts = why, l.parts
	}
	l.mu.Unlock()
	l.cancel()
	for _, d := range parts {
		_ = d.Reset() // its goroutine sees the error
	}
}

// why returns the reason that end was given, if it was called.
func (l *live) why() End {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *live) snapshot() StreamInfo {
	info := l.info
	info.BytesIn, info.BytesOut = l.in.Load(), l.out.Load()
	return info
}

// registry holds the live streams of an Exposer.
type registry struct {
	mu   sync.Mutex // guards all
	last uint64
	all  map[uint64]*live
}

func (r *registry) add(l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[uint64]*live)
	}
	r.last++
	l.info.ID = r.last
	r.all[l.info.ID] = l
}

func (r *registry) remove(l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, l.info.ID)
}

func (r *registry) list() []*live {
	r.mu.Lock()
	defer r.mu.Unlock()
	ls := make([]*live, 0, len(r.all))
	for _, l := range r.all {
		ls = append(ls, l)
	}
	return ls
}
