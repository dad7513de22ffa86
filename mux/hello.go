package mux

import "time"

// Hello is what a client says of itself on a new carrier. When Admit sees it, its signature over the carrier's transcript
// has been verified: the peer holds the private half of Key.
type Hello struct {
	Version    int
	Key        [32]byte // the client's device key, Ed25519
	Name       string   // what the client calls itself: for people
	Program    string   // its program and version: for people
	LinkID     LinkID   // link to resume, or zero
	Attempt    uint64   // counts the client's carriers, so that a late HELLO cannot displace a newer one
	Received   uint64   // what the client has received of that link
	Limit      uint64   // how far the daemon may send
	HoldTime   time.Duration
	Pairing    []byte   // proof of a pairing code, or nil
	Transcript [32]byte // of the carrier it came on
}

// TargetInfo describes one target that the client may reach.
type TargetInfo struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"` // tcp, unix, cidr
	Port int    `json:"port,omitempty"` // suggested local port, 0: none
}

// Welcome is what the daemon answers to a client that it admits.
type Welcome struct {
	Version  int
	LinkID   LinkID
	Resumed  bool   // the link named in HELLO goes on; else LinkID is a new one and the old is gone
	Received uint64 // what the daemon has received of the link
	Limit    uint64 // how far the client may send
	Program  string
	HoldTime time.Duration // how long both sides keep a link without a path
	Targets  []TargetInfo
	Pairing  []byte // proof of the pairing code, or nil
}
