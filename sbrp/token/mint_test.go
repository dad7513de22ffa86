package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

func clientClaims() token.Claims {
	return token.Claims{
		Issuer: issuer, Audience: []string{token.Audience}, IssuedAt: now, Expires: now.Add(token.ClientTTL), ID: "j1",
		Subject: "dev_1", Role: sbrp.RoleClient, DaemonID: "dmn_1", SessionID: sid, Scopes: []string{token.ScopeSessionCreate},
		Region: region, MaxSessions: 2, Account: "a mark",
	}
}

func TestMintRoundTrip(t *testing.T) {
	s, err := token.NewSigner(kid, privKey)
	if err != nil {
		t.Fatal(err)
	}
	if s.KeyID() != kid {
		t.Errorf("KeyID %q", s.KeyID())
	}
	daemonClaims := token.Claims{
		Issuer: issuer, Audience: []string{"x", token.Audience}, IssuedAt: now, Expires: now.Add(time.Hour), ID: "j2",
		Role: sbrp.RoleDaemon, DaemonID: "dmn_1", Scopes: []string{token.ScopeSessionResume},
	}
	for _, want := range []token.Claims{clientClaims(), daemonClaims} {
		raw, err := s.Mint(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := verifier(t).Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		got.IssuedAt, got.Expires = got.IssuedAt.UTC(), got.Expires.UTC()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	c := clientClaims()
	c.Audience = nil
	raw, err := s.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier(t).Verify(t.Context(), raw); err != nil {
		t.Errorf("without audience: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	s, err := token.NewSigner(kid, privKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(c *token.Claims){
		"no issuer":    func(c *token.Claims) { c.Issuer = "" },
		"no id":        func(c *token.Claims) { c.ID = "" },
		"no daemon":    func(c *token.Claims) { c.DaemonID = "" },
		"no subject":   func(c *token.Claims) { c.Subject = "" },
		"no session":   func(c *token.Claims) { c.SessionID = 0 },
		"no scope":     func(c *token.Claims) { c.Scopes = nil },
		"relay's role": func(c *token.Claims) { c.Role = sbrp.RoleRelay },
		"too long":     func(c *token.Claims) { c.Expires = now.Add(time.Hour) },
		"ended":        func(c *token.Claims) { c.Expires = now },
		"no times":     func(c *token.Claims) { c.Expires, c.IssuedAt = time.Time{}, time.Time{} },
		"audience":     func(c *token.Claims) { c.Audience = []string{"x"} },
		"negative lim": func(c *token.Claims) { c.MaxSessions = -1 },
		"too large":    func(c *token.Claims) { c.DaemonID = strings.Repeat("d", 4000) },
	} {
		c := clientClaims()
		spoil(&c)
		if raw, err := s.Mint(c); err == nil || raw != "" {
			t.Errorf("%s: minted", name)
		}
	}
}

type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Public() crypto.PublicKey { return ed25519.PublicKey(pubKey) }

func TestNewSignerRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() (*token.Signer, error){
		"no kid": func() (*token.Signer, error) { return token.NewSigner("", privKey) },
		"no key": func() (*token.Signer, error) { return token.NewSigner(kid, nil) },
		"P-256":  func() (*token.Signer, error) { return token.NewSigner(kid, ec) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := token.NewSigner(kid, brokenSigner{}); err != nil {
		t.Errorf("a foreign signer with an Ed25519 key: %v", err)
	}
}
