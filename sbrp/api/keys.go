package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Key is an API key without its secret.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Account string    `json:"account"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"` // zero: not
}

// KeySpec is an API key to make.
type KeySpec struct {
	Name    string    `json:"name"`
	Account string    `json:"account,omitempty"` // empty: DefaultAccount
	Scopes  []string  `json:"scopes"`            // at least one of ScopeDaemon, ScopeClient, ScopeAdmin
	Expires time.Time `json:"expires,omitzero"`  // zero: never. Ends enrolment; devices that are enrolled stay
}

// CreateKeyResponse holds a new key's secret, this once. It prints without it.
type CreateKeyResponse struct {
	Key
	Secret string `json:"secret"`
}

// Keys lists the API keys of all accounts, revoked ones included. The secret of a
// key with scope admin is the authentication.
func (c *Client) Keys(ctx context.Context, adminKey string) ([]Key, error) {
	var out []Key
	err := c.call(ctx, http.MethodGet, PathKeys, bearer(adminKey), nil, &out)
	return out, err
}

// CreateKey makes an API key and returns its secret, which cannot be had again.
func (c *Client) CreateKey(ctx context.Context, adminKey string, spec KeySpec) (Key, string, error) {
	var out CreateKeyResponse
	err := c.call(ctx, http.MethodPost, PathKeys, bearer(adminKey), spec, &out)
	return out.Key, out.Secret, err
}

// RevokeKey revokes an API key: it enrols nothing any more, and devices and daemons
// that it enrolled are refused from now on.
func (c *Client) RevokeKey(ctx context.Context, adminKey, id string) (Key, error) {
	var out Key
	err := c.call(ctx, http.MethodDelete, PathKeys+"/"+url.PathEscape(id), bearer(adminKey), nil, &out)
	return out, err
}
