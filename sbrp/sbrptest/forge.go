package sbrptest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"

	"culvert/sbrp"
)

// What good forged tokens say. They are good at TokenNow, for whoever trusts TokenKey.
const (
	TokenIssuer  = "https://relay.example.org"
	TokenRegion  = "eu"
	TokenKeyID   = "k1"
	TokenDaemon  = "dmn_1"
	TokenSession = sbrp.SessionID(0x0102030405060708)
)

// TokenNow is when forged tokens are made.
var TokenNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var tokenPrivate = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))

// TokenKey is the key that signs forged tokens.
func TokenKey() ed25519.PublicKey { return tokenPrivate.Public().(ed25519.PublicKey) }

// Forged is a relay token in the making: tests spoil it in one place or several, and it is signed at the end, so that the
// signature is good unless that is what is spoilt. It is made without package token.
type Forged struct {
	Header, Claims map[string]any
	Key            ed25519.PrivateKey
	After          []func(raw string) string // done to the finished token, in order
}

// ForgeClient returns a client's token that is good.
func ForgeClient() *Forged {
	return &Forged{
		Header: map[string]any{"typ": "sbrp-relay+jwt", "alg": "EdDSA", "kid": TokenKeyID},
		Claims: map[string]any{
			"iss": TokenIssuer, "aud": "sideband-relay", "exp": TokenNow.Add(2 * time.Minute).Unix(), "iat": TokenNow.Unix(), "jti": "j1", "ver": 1,
			"sub": "dev_1", "role": "client", "did": TokenDaemon, "sid": TokenSession.String(), "scp": []string{"session:create"}, "region": TokenRegion,
			"lim": map[string]any{"concurrent_sessions": 3},
		},
		Key: tokenPrivate,
	}
}

// ForgeDaemon returns a daemon's token that is good.
func ForgeDaemon() *Forged {
	f := ForgeClient()
	maps.DeleteFunc(f.Claims, func(k string, _ any) bool { return k == "sub" || k == "sid" })
	f.Claims["role"], f.Claims["scp"] = "daemon", []string{"session:resume"}
	f.Claims["exp"] = TokenNow.Add(time.Hour).Unix()
	return f
}

// Set sets a claim.
func (f *Forged) Set(name string, v any) { f.Claims[name] = v }

// Raw is the token.
func (f *Forged) Raw() string {
	raw := segment(f.Header) + "." + segment(f.Claims)
	raw += "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(f.Key, []byte(raw)))
	for _, spoil := range f.After {
		raw = spoil(raw)
	}
	return raw
}

func segment(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("sbrptest: " + err.Error()) // a test's own literals
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
