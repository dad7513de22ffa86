package mux

import "time"

// Our own limits and times. What the wire fixes is in protocol.go.
const (
	handshakeTimeout = 10 * time.Second // from the carrier's start to HELLO or WELCOME
	maxStray         = 4096             // messages that a client skips while it waits for WELCOME (reordered data)

	DefaultHoldTime = 10 * time.Minute // how long a link without a path is kept
	minHoldTime     = time.Second

	probeSilence = 5 * time.Second  // silence while something is waiting, until PROBE
	deadSilence  = 9 * time.Second  // the same, until the carrier is called dead: under 10 s
	idleProbe    = 15 * time.Second // silence with nothing waiting, until PROBE: dead at 24 s, under 30 s
	maxPathDown  = 90 * time.Second // how long a path's word "down" is believed: beyond the relay's grace of 60 s
	ackDelay     = 40 * time.Millisecond
	tailDelay    = 200 * time.Millisecond // on top of three round trips: unacknowledged data asks what has arrived
	closeLinger  = 3 * time.Second        // how long an end waits for the peer to acknowledge what was written
	closeBlocked = time.Second            // how long the end's last message may take before the carrier is closed anyway
	rttFloor     = 2 * time.Millisecond   // window tuning takes no round trip for shorter: on loopback scheduling rules
	syncInterval = 5 * time.Millisecond   // gaps are reported at most once per round trip, and not faster than this

	DefaultWindowMin = 256 << 10 // what a link's receiver first lets the peer send ahead
	DefaultWindowMax = 16 << 20  // what that may grow to; also the most that a link keeps for sending again
	maxUnsent        = 128 << 10 // what may wait between yamux and the carrier: more would delay a keystroke behind bulk
	maxFrameBody     = 32 << 10  // one stream's turn in bytes: small enough to interleave, large enough to fill messages

	DefaultStreamWindow = 4 << 20 // what one stalled stream can hold in the receiver's memory
	acceptBacklog       = 1024    // streams that the peer has opened and nobody has accepted yet; more are reset
	streamLinger        = 30 * time.Second
	yamuxForever        = 10000 * time.Hour // yamux's own timeouts must never fire: a held link is silent for long

	DefaultBudget = 512 << 20 // bytes kept for sending again, over all links of a process
)
