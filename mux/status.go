package mux

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// LinkID names a link. The daemon chooses it at random; knowing it is worth nothing without the client's key.
type LinkID [16]byte

func newLinkID() LinkID {
	var id LinkID
	rand.Read(id[:]) // never fails
	return id
}

// String gives 32 hexadecimal digits.
func (id LinkID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the id names no link.
func (id LinkID) IsZero() bool { return id == LinkID{} }

// MarshalText is String.
func (id LinkID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText takes 32 hexadecimal digits.
func (id *LinkID) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("parse link id: %d digits instead of %d", len(b), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], b); err != nil {
		return fmt.Errorf("parse link id: %w", err)
	}
	return nil
}

// Peer is who is at the other end of a link.
type Peer struct {
	Key     [32]byte // the client's device key; zero at the client's end, where the carrier has proved the daemon
	Name    string   // what Admit called the client; empty at the client's end
	Program string   // the peer's program and version, as it says itself: for people
}

// State is what a user sees of a link.
type State string

// The states of a link.
const (
	StateConnecting State = "connecting" // no link yet
	StateLive       State = "live"       // messages pass
	StateHeld       State = "held"       // no path; streams are kept
	StateResuming   State = "resuming"   // a new carrier is there, the peers are agreeing where to go on
	StateLost       State = "lost"       // the last link has ended and there is no new one yet
)

// Status is a snapshot of a link.
type Status struct {
	Link     LinkID
	Peer     Peer
	State    State
	Since    time.Time     // when it entered that state
	RTT      time.Duration // last measured round trip; 0: not measured yet
	MinRTT   time.Duration // shortest on this carrier
	Sent     uint64        // bytes of the link's stream handed to carriers for the first time
	Received uint64        // bytes of the link's stream received in order
	Buffered int           // bytes kept for sending again or not sent yet
	Window   int           // bytes that the peer may send ahead
	Streams  int           // open streams
	Resumes  int           // how often the link came back
}
