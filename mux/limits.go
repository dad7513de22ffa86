package mux

import (
	"fmt"
	"log/slog"
	"time"
)

// Our own limits and times. What the wire fixes is in protocol.go.
const (
	handshakeTimeout = 10 * time.Second // from the carrier's start to HELLO or WELCOME
	maxStray         = 4096             // messages that a client skips while it waits for WELCOME (reordered data)

	DefaultHoldTime = 10 * time.Minute // how long a link without a path is kept
	doubtfulHold    = 3 * time.Minute  // the same, for a link that its client may never have heard of
	minHoldTime     = time.Second
	maxHoldTime     = 24 * time.Hour

	probeSilence = 5 * time.Second  // silence while something is waiting, until PROBE
	deadSilence  = 9 * time.Second  // the same, until the carrier is called dead: under 10 s
	idleProbe    = 15 * time.Second // silence with nothing waiting, until PROBE: dead at 24 s, under 30 s
	firstProbes  = 4                // round trips that are measured at the start
	probeAgain   = 10 * time.Second // what is sent with nothing in flight measures the round trip again after so long
	maxPathDown  = 90 * time.Second // how long a path's word "down" is believed: beyond the relay's grace of 60 s
	ackDelay     = 40 * time.Millisecond
	tailDelay    = 200 * time.Millisecond // on top of three round trips: unacknowledged data asks what has arrived
	closeLinger  = 3 * time.Second        // how long an end waits for the peer to acknowledge what was written
	closeBlocked = time.Second            // how long the end's last message may take before the carrier is closed anyway
	syncInterval = 5 * time.Millisecond   // gaps are reported at most once per round trip, and not faster than this

	DefaultWindowMin = 256 << 10    // what a link's receiver first lets the peer send ahead, or less if less is wanted
	leastWindow      = 64 << 10     // what it may shrink to on a slow path
	DefaultWindowMax = 16 << 20     // what that may grow to; also the most that a link keeps for sending again
	maxUnsent        = 128 << 10    // what may wait before the carrier: more would delay a keystroke behind bulk
	leastUnsent      = 32 << 10     // the same, on a slow path
	maxPeerFrame     = 64 << 10     // the largest that a peer may make its turn: a frame is kept until all of it is there
	smallTurn        = 32<<10 - 128 // one stream's turn in bytes, and so a frame's body: small enough to interleave; two fill a message
	largeTurn        = 64<<10 - 256 // the same, on a fast path: one fills a message

	DefaultStreamWindow = 24 << 20 // the most that one stalled stream can hold in the receiver, if the link was that fast; half of it in flight is not stopped: 120 MB/s at 100 ms
	acceptBacklog       = 1024     // streams that the peer has opened and nobody has accepted yet; more are reset
	maxStreams          = 1 << 14  // streams of one link at once; more are reset
	maxControl          = 1 << 20  // bytes of control frames beyond what a link may keep; a peer that causes more is hostile
	streamLinger        = 30 * time.Second
	yamuxForever        = 10000 * time.Hour // yamux's own timeouts must never fire: a held link is silent for long

	DefaultMaxLinks = 4096 // links of a daemon, over all clients
	maxLinksPerKey  = 64   // of one client, so that it cannot crowd out the others

	DefaultBudget = 512 << 20 // bytes kept for sending again, over all links of a process

	// evictAfter is how long a link must have been held before it may be ended for another's sake. Most come back before:
	// and when a daemon's own path is lost, all its links are held within moments, one after the other.
	evictAfter = 5 * time.Second
)

// limits is what ClientConfig and ServerConfig have in common, with defaults filled in.
type limits struct {
	hold         time.Duration
	windowMin    int
	windowMax    int
	streamWindow int
	budget       *Budget
	log          *slog.Logger
}

func newLimits(hold time.Duration, windowMin, windowMax, streamWindow int, budget *Budget, log *slog.Logger) (limits, error) {
	l := limits{hold, windowMin, windowMax, streamWindow, budget, log}
	if l.windowMin == 0 {
		l.windowMin = min(DefaultWindowMin, max(l.windowMax, smallestWindow))
		if l.windowMax == 0 {
			l.windowMin = DefaultWindowMin
		}
	}
	if l.windowMax == 0 {
		l.windowMax = max(DefaultWindowMax, l.windowMin)
	}
	if l.streamWindow == 0 {
		l.streamWindow = DefaultStreamWindow
	}
	if l.budget == nil {
		l.budget = NewBudget(0)
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	var err error
	l.hold, err = holdTime(hold)
	switch {
	case err != nil:
		return l, err
	case l.windowMin < smallestWindow || l.windowMin > l.windowMax || l.windowMax > largestWindow:
		return l, fmt.Errorf("WindowMin and WindowMax are %d and %d, not in order within %d and %d", l.windowMin, l.windowMax, smallestWindow, largestWindow)
	case l.streamWindow < initialStreamWindow || l.streamWindow > largestWindow:
		return l, fmt.Errorf("StreamWindow is %d, not within %d and %d", l.streamWindow, initialStreamWindow, largestWindow)
	}
	return l, nil
}

// The bounds of configured windows, in bytes.
const (
	smallestWindow = 4 << 10
	largestWindow  = 1 << 30
)

// link gives what a new link is made of. The hold time is the smaller of both sides'.
func (l limits) link(id LinkID, peer Peer, theirHold time.Duration, events *eventQueue) linkConfig {
	hold := l.hold
	if theirHold > 0 {
		hold = max(min(hold, theirHold), minHoldTime)
	}
	return linkConfig{
		id: id, peer: peer, log: l.log, budget: l.budget, events: events,
		windowMin: l.windowMin, windowMax: l.windowMax, hold: hold,
	}
}
