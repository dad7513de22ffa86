package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

// MaxPairingTTL is how long a pairing code lives at most (spec section 8).
const MaxPairingTTL = 5 * time.Minute

// Lookup is the half of a pairing code that the control plane may know: whoever
// has it can reach the daemon once, and still has to prove the other half to it.
// It prints as [redacted]; its text form is base64url without padding.
type Lookup [16]byte

// MarshalText gives base64url without padding, 22 characters.
func (l Lookup) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, l[:]), nil
}

// UnmarshalText takes base64url without padding, or hex. The error does not repeat
// the text. l is unchanged on error.
func (l *Lookup) UnmarshalText(text []byte) error {
	decode := base64.RawURLEncoding.Strict().Decode
	switch len(text) {
	case base64.RawURLEncoding.EncodedLen(len(l)):
	case hex.EncodedLen(len(l)):
		decode = hex.Decode
	default:
		return errLookup
	}
	var buf [24]byte
	n, err := decode(buf[:], text)
	if err != nil || n != len(l) {
		return errLookup
	}
	copy(l[:], buf[:])
	return nil
}

var errLookup = errors.New("lookup must be 16 bytes in base64url or hex")

// PairingRequest announces a pairing code.
type PairingRequest struct {
	DaemonID string
	Lookup   Lookup
	TTL      time.Duration // zero: MaxPairingTTL; whole seconds count
}

// PairingWire is a PairingRequest as it goes over the wire.
type PairingWire struct {
	DaemonID   string `json:"daemonId"`
	Lookup     Lookup `json:"lookup"`
	TTLSeconds int    `json:"ttlSeconds,omitempty"`
}

// PairingResponse says how long the code is good, by the server's clock.
type PairingResponse struct {
	ExpiresAt time.Time `json:"expiresAt"`
}

// CreatePairing announces a pairing code for this device's own daemon.
func (c *Client) CreatePairing(ctx context.Context, r PairingRequest) (PairingResponse, error) {
	var out PairingResponse
	if r.TTL < 0 || r.TTL > MaxPairingTTL || (r.TTL > 0 && r.TTL < time.Second) {
		return out, errors.New("create pairing: a code lives for 1 s to 5 min")
	}
	wire := PairingWire{DaemonID: r.DaemonID, Lookup: r.Lookup, TTLSeconds: int(r.TTL / time.Second)}
	err := c.call(ctx, http.MethodPost, PathPairings, asDevice, wire, &out)
	return out, err
}

// CancelPairing takes a code back. A code that is gone already is
// CodePairingNotFound.
func (c *Client) CancelPairing(ctx context.Context, lookup Lookup) error {
	text, _ := lookup.MarshalText() // has no error
	return c.call(ctx, http.MethodDelete, PathPairings+"/"+string(text), asDevice, nil, nil)
}

// RedeemRequest uses a pairing code up.
type RedeemRequest struct {
	Lookup Lookup `json:"lookup"`
	Name   string `json:"name,omitempty"` // of the device, if it becomes a guest; for people
}

// RedeemPairing uses a pairing code up, once, and gives a session token for its
// daemon. A device that could not reach the daemon before may from now on; one that
// is not enrolled becomes a guest, who may reach that daemon alone.
func (c *Client) RedeemPairing(ctx context.Context, lookup Lookup) (SessionResponse, error) {
	var out SessionResponse
	err := c.call(ctx, http.MethodPost, PathRedeem, asDevice, RedeemRequest{Lookup: lookup}, &out)
	return out, err
}
