package token

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
)

// PublicKey is one signing key as verifiers see it.
type PublicKey struct {
	ID  string // kid
	Key ed25519.PublicKey
}

// Keys is a [KeySource] that is told its keys, for a relay in the same process as
// the control plane, and for tests. It also is the JWKS document: it marshals to
// it and serves it. Its methods may run concurrently. The zero value holds no key.
type Keys struct {
	keys atomic.Pointer[[]PublicKey]
}

// NewKeys makes a key source.
func NewKeys(keys ...PublicKey) (*Keys, error) {
	k := new(Keys)
	if err := k.Set(keys...); err != nil {
		return nil, err
	}
	return k, nil
}

// Set replaces all keys at once. Two keys of one id, an empty id, or a key of the
// wrong length is an error, and changes nothing.
func (k *Keys) Set(keys ...PublicKey) error {
	for i, key := range keys {
		if key.ID == "" || len(key.Key) != ed25519.PublicKeySize {
			return fmt.Errorf("set signing keys: key %d has no id or not %d bytes", i, ed25519.PublicKeySize)
		}
		if slices.ContainsFunc(keys[:i], func(o PublicKey) bool { return o.ID == key.ID }) {
			return fmt.Errorf("set signing keys: id %q stands twice", key.ID)
		}
	}
	own := slices.Clone(keys)
	k.keys.Store(&own)
	return nil
}

// Key implements [KeySource]. It never blocks.
func (k *Keys) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	for _, key := range k.all() {
		if key.ID == kid {
			return key.Key, nil
		}
	}
	return nil, ErrUnknownKey
}

// MarshalJSON gives the JWKS document.
func (k *Keys) MarshalJSON() ([]byte, error) { return marshalJWKS(k.all()) }

// ServeHTTP serves the JWKS document, for GET and HEAD.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	doc, err := k.MarshalJSON()
	if err != nil {
		http.Error(w, "cannot write the keys", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300") // CacheTime
	_, _ = w.Write(doc)                                    // the reader has gone: nobody to tell
}

func (k *Keys) all() []PublicKey {
	if p := k.keys.Load(); p != nil {
		return *p
	}
	return nil
}
