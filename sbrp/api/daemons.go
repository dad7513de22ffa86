package api

import (
	"context"
	"net/http"
	"time"

	"culvert/sbrp"
)

// Status of a daemon.
const (
	StatusOnline  = "online"
	StatusOffline = "offline"
)

// RegisterRequest registers a daemon. It prints without the API key.
type RegisterRequest struct {
	APIKey            string         `json:"apiKey,omitempty"`  // optional when the device is enrolled
	IdentityPublicKey sbrp.PublicKey `json:"identityPublicKey"` // must be the device key, if the request is signed by one
	Name              string         `json:"name,omitempty"`    // a CheckDaemonName; empty: keep the old one, or get one
	Replace           bool           `json:"replace,omitempty"` // take the name away from the account's daemon that has it, and remove that one
	// Unreachable are the URLs of relays that the daemon has just tried in vain: another is
	// named, if there is one. A node that has been killed is known so before its lease is over.
	Unreachable []string `json:"unreachable,omitempty"`
}

// MaxUnreachable bounds RegisterRequest.Unreachable.
const MaxUnreachable = 16

// RegisterResponse holds the daemon's id, which is the same every time for one
// identity key and account, and its first presence token. It prints without the token.
type RegisterResponse struct {
	DaemonID        string    `json:"daemonId"`
	PresenceToken   string    `json:"presenceToken"`
	RelayURL        string    `json:"relayUrl"`
	PresenceExpires time.Time `json:"presenceExpires"`
	Name            string    `json:"name"`
}

// Register registers a daemon. With a device key the request is signed by it, which
// proves the identity key; without one the API key alone must do, and a daemon
// that was once registered with proof cannot be registered again without.
func (c *Client) Register(ctx context.Context, r RegisterRequest) (RegisterResponse, error) {
	var out RegisterResponse
	as := asDevice
	if c.key == nil && r.APIKey != "" {
		as = asNobody
	}
	err := c.call(ctx, http.MethodPost, PathRegister, as, r, &out)
	return out, err
}

// PresenceRequest asks for a new presence token.
type PresenceRequest struct {
	DaemonID string `json:"daemonId"`
}

// PresenceResponse holds a presence token. It prints without it.
type PresenceResponse struct {
	PresenceToken   string    `json:"presenceToken"`
	RelayURL        string    `json:"relayUrl"`
	PresenceExpires time.Time `json:"presenceExpires"`
}

// Presence renews the presence token of this device's own daemon.
func (c *Client) Presence(ctx context.Context, daemonID string) (PresenceResponse, error) {
	var out PresenceResponse
	err := c.call(ctx, http.MethodPost, PathPresence, asDevice, PresenceRequest{DaemonID: daemonID}, &out)
	return out, err
}

// Daemon is a daemon as the devices that may reach it see it.
type Daemon struct {
	ID                string         `json:"id"`
	Name              string         `json:"name"`
	IdentityPublicKey sbrp.PublicKey `json:"identityPublicKey"` // as the control plane says: pin it only after a check
	Status            string         `json:"status"`
}

// Daemons lists the daemons that this device may reach, by name.
func (c *Client) Daemons(ctx context.Context) ([]Daemon, error) {
	var out []Daemon
	err := c.call(ctx, http.MethodGet, PathDaemons, asDevice, nil, &out)
	return out, err
}
