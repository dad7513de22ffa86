package token

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
)

// JWKSPath is where an issuer shows its keys (spec section 7).
const JWKSPath = "/.well-known/jwks.json"

// JWKSURL is the address of an issuer's keys.
func JWKSURL(issuer string) string { return strings.TrimRight(issuer, "/") + JWKSPath }

// jwk is one key of a JWKS document: RFC 8037, section 2.
type jwk struct {
	Type      string `json:"kty"` // OKP
	Curve     string `json:"crv"` // Ed25519
	X         string `json:"x"`   // base64url of the 32 bytes
	ID        string `json:"kid"`
	Algorithm string `json:"alg"` // EdDSA
	Use       string `json:"use,omitempty"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

func marshalJWKS(keys []PublicKey) ([]byte, error) {
	doc := jwks{Keys: []jwk{}}
	for _, k := range keys {
		doc.Keys = append(doc.Keys, jwk{
			Type: "OKP", Curve: "Ed25519", X: segment.EncodeToString(k.Key),
			ID: k.ID, Algorithm: Algorithm, Use: "sig",
		})
	}
	return json.Marshal(doc)
}

// ParseJWKS takes the usable keys from a JWKS document: those whose own alg is
// EdDSA (spec section 7), of type OKP and curve Ed25519, with an id, meant for
// signatures. Other keys are left out, as RFC 7517 section 5 wants; a key id that
// stands twice with different keys is left out altogether, since no choice
// between the two is safe. A document that is no JWKS is an error.
func ParseJWKS(doc []byte) ([]PublicKey, error) {
	var raw struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &raw); err != nil || raw.Keys == nil {
		return nil, fmt.Errorf("parse JWKS: %d bytes are not a JSON object with keys", len(doc))
	}
	var keys []PublicKey
	twice := map[string]bool{}
	for _, r := range *raw.Keys {
		key, ok := parseJWK(r)
		if !ok {
			continue
		}
		known := false
		for _, k := range keys {
			if k.ID == key.ID {
				known = true
				twice[k.ID] = twice[k.ID] || !k.Key.Equal(key.Key)
			}
		}
		if !known {
			keys = append(keys, key)
		}
	}
	var usable []PublicKey
	for _, k := range keys {
		if !twice[k.ID] {
			usable = append(usable, k)
		}
	}
	return usable, nil
}

func parseJWK(raw json.RawMessage) (PublicKey, bool) {
	f, ok := parseObject(raw)
	if !ok {
		return PublicKey{}, false
	}
	for name, want := range map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": Algorithm} {
		if got, _ := f.text(name); got != want {
			return PublicKey{}, false
		}
	}
	if use, _ := f.text("use"); f.has("use") && use != "sig" {
		return PublicKey{}, false
	}
	kid, _ := f.text("kid")
	x, _ := f.text("x")
	key, err := segment.DecodeString(x)
	if err != nil || len(key) != ed25519.PublicKeySize || kid == "" {
		return PublicKey{}, false
	}
	return PublicKey{ID: kid, Key: key}, true
}
