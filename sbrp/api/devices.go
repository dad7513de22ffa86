package api

import (
	"context"
	"net/http"
)

// Scopes of an API key, and of the devices that it enrols.
const (
	ScopeDaemon = "daemon" // may register daemons
	ScopeClient = "client" // may create sessions
	ScopeAdmin  = "admin"  // may do all, and manage API keys of every account
)

// DefaultAccount is the account of API keys that name none.
const DefaultAccount = "default"

// EnrollRequest enrols the device key that signs the request. It prints without the key.
type EnrollRequest struct {
	APIKey string `json:"apiKey"`
	Name   string `json:"name"` // for people: a CheckLabel
}

// EnrollResponse says what the device has become.
type EnrollResponse struct {
	DeviceID string   `json:"deviceId"`
	Account  string   `json:"account"`
	Scopes   []string `json:"scopes"`
}

// Enroll enrols this device with an API key: afterwards its device key is enough.
// A device that is enrolled already takes the account and scopes of the new key.
func (c *Client) Enroll(ctx context.Context, r EnrollRequest) (EnrollResponse, error) {
	var out EnrollResponse
	err := c.call(ctx, http.MethodPost, PathDevices, asDevice, r, &out)
	return out, err
}
