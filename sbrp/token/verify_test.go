package token_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/token"
)

func wantRule(t *testing.T, v *token.Verifier, raw string, rule token.Rule) {
	t.Helper()
	c, err := v.Verify(t.Context(), raw)
	e, ok := errors.AsType[*token.Error](err)
	if !ok {
		t.Fatalf("got %+v, %v, want *token.Error of rule %s", c, err, rule)
	}
	if e.Rule != rule {
		t.Errorf("got rule %s (%v), want %s", e.Rule, err, rule)
	}
	if e.Code() != sbrp.CodeUnauthorized || !errors.Is(err, &sbrp.Error{Code: sbrp.CodeUnauthorized}) {
		t.Errorf("%v is not unauthorized", err)
	}
	if c.DaemonID != "" || c.Role != 0 {
		t.Errorf("claims came with the error: %+v", c)
	}
	for part := range strings.SplitSeq(raw, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("error holds a part of the token: %v", err)
		}
	}
}

func TestVerifyGood(t *testing.T) {
	v := verifier(t)
	tests := []struct {
		name  string
		make  func() *forged
		check func(c token.Claims) bool
	}{
		{"client", client, func(c token.Claims) bool {
			return c.Role == sbrp.RoleClient && c.SessionID == sid && c.Subject == "dev_1" && c.DaemonID == "dmn_1" && c.ID == "j1" &&
				c.MaxSessions == 3 && c.Region == region && c.Issuer == issuer && c.HasScope(token.ScopeSessionCreate) &&
				c.IssuedAt.Equal(now) && c.Expires.Equal(now.Add(2*time.Minute))
		}},
		{"daemon", daemon, func(c token.Claims) bool {
			return c.Role == sbrp.RoleDaemon && c.SessionID == 0 && c.HasScope(token.ScopeSessionResume)
		}},
		{"daemon without scopes", with(daemon, drop("scp")), func(c token.Claims) bool { return !c.HasScope(token.ScopeSessionResume) }},
		{"daemon for a year", with(daemon, set("exp", now.AddDate(1, 0, 0).Unix())), nil},
		{"daemon with a sid that counts for nothing", with(daemon, set("sid", "x")), func(c token.Claims) bool { return c.SessionID == 0 }},
		{"aud array", with(client, set("aud", []string{"x", "sideband-relay"})), func(c token.Claims) bool { return len(c.Audience) == 2 }},
		{"unknown scopes", with(client, set("scp", []string{"fly", "session:create"})), func(c token.Claims) bool {
			return slices.Equal(c.Scopes, []string{"session:create"}) && !c.HasScope("fly")
		}},
		{"no ver", with(client, drop("ver")), nil},
		{"ver 1.0", with(client, set("ver", 1.0)), nil},
		{"no region", with(client, drop("region")), nil},
		{"no lim", with(client, drop("lim")), func(c token.Claims) bool { return c.MaxSessions == 0 }},
		{"lim of something else", with(client, set("lim", obj{"other": "x"})), nil},
		{"no jti", with(client, drop("jti")), nil},
		{"within skew", with(client, func(f *forged) { f.Set("iat", now.Unix()-149); f.Set("exp", now.Unix()-29) }), nil},
		{"300 s", with(client, set("exp", now.Unix()+300)), nil},
		{"fractions of seconds", with(client, set("exp", float64(now.Unix())+60.5)), nil},
		{"unknown claims and header fields", with(client, func(f *forged) { f.Set("x", obj{}); f.Header["x"] = 1 }), nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := v.Verify(t.Context(), tc.make().Raw())
			if err != nil {
				t.Fatal(err)
			}
			if tc.check != nil && !tc.check(c) {
				t.Errorf("got claims %+v", c)
			}
		})
	}
}

func set(claim string, v any) func(*forged) { return func(f *forged) { f.Set(claim, v) } }
func drop(claim string) func(*forged)       { return func(f *forged) { delete(f.Claims, claim) } }

func with(make func() *forged, change func(*forged)) func() *forged {
	return func() *forged { f := make(); change(f); return f }
}

// The classic: a token signed by HMAC with the public key as the secret.
func TestVerifyAlgorithmConfusion(t *testing.T) {
	h := obj{"typ": token.Type, "alg": "HS256", "kid": kid}
	signed := b64(t, h) + "." + b64(t, client().Claims)
	m := hmac.New(sha256.New, pubKey)
	m.Write([]byte(signed))
	wantRule(t, verifier(t), signed+"."+base64.RawURLEncoding.EncodeToString(m.Sum(nil)), token.RuleSignature)
}

func TestVerifyWithoutRegion(t *testing.T) {
	v := verifier(t, func(c *token.VerifierConfig) { c.Region = "" })
	wantRule(t, v, client().Raw(), token.RuleRegion)
	if _, err := v.Verify(t.Context(), with(client, drop("region"))().Raw()); err != nil {
		t.Errorf("token without region: %v", err)
	}
}

type failingKeys struct{ err error }

func (k failingKeys) Key(context.Context, string) (ed25519.PublicKey, error) { return nil, k.err }

type shortKeys struct{}

func (shortKeys) Key(context.Context, string) (ed25519.PublicKey, error) { return pubKey[:31], nil }

func TestVerifyKeyTrouble(t *testing.T) {
	var log bytes.Buffer
	v := verifier(t, func(c *token.VerifierConfig) {
		c.Keys = failingKeys{context.DeadlineExceeded}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	raw := client().Raw()
	wantRule(t, v, raw, token.RuleSignature)
	if _, err := v.Verify(t.Context(), raw); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the cause is lost: %v", err)
	}
	if !strings.Contains(log.String(), "out of reach") || strings.Contains(log.String(), raw[:20]) {
		t.Errorf("log: %s", log.String())
	}
	v = verifier(t, func(c *token.VerifierConfig) { c.Keys = shortKeys{} })
	wantRule(t, v, raw, token.RuleSignature)
}

func warnsOfLongLife(t *testing.T) {
	var log bytes.Buffer
	v := verifier(t, func(c *token.VerifierConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for exp, warn := range map[int64]bool{120: false, 121: true} {
		log.Reset()
		if _, err := v.Verify(t.Context(), with(client, set("exp", now.Unix()+exp))().Raw()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "longer than it should"); got != warn {
			t.Errorf("lifetime %d s: warned %t, want %t", exp, got, warn)
		}
	}
	log.Reset()
	if _, err := v.Verify(t.Context(), daemon().Raw()); err != nil || log.Len() > 0 {
		t.Errorf("daemon's hour: %v, log %q", err, log.String())
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	keys, _ := token.NewKeys()
	for _, cfg := range []token.VerifierConfig{{Keys: keys}, {Issuer: issuer}} {
		if _, err := token.NewVerifier(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(client().Raw())
	f.Add(daemon().Raw())
	for _, tc := range sbrptest.BadTokens {
		b := client()
		tc.Spoil(b)
		f.Add(b.Raw())
	}
	f.Add("..")
	v := verifier(f)
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			if _, ok := errors.AsType[*token.Error](err); !ok || len(raw) > 60 && strings.Contains(err.Error(), raw) {
				t.Errorf("%T, want a *token.Error that does not repeat the token: %v", err, err)
			}
			return
		}
		// Nobody but the issuer makes a token: it verifies by hand.
		signed, sig := cutLast(raw)
		if b, err := base64.RawURLEncoding.DecodeString(sig); err != nil || !ed25519.Verify(pubKey, []byte(signed), b) {
			t.Errorf("%q passed without a signature", raw)
		}
	})
}

// cutLast cuts a token before its signature.
func cutLast(raw string) (signed, signature string) {
	at := strings.LastIndexByte(raw, '.')
	return raw[:max(at, 0)], raw[at+1:]
}

// FuzzClaims puts arbitrary JSON behind a good signature: the control plane could be
// someone else's.
func FuzzClaims(f *testing.F) {
	f.Add(`{"aud":"sideband-relay"}`)
	f.Add(`{"aud":["sideband-relay"],"iss":"https://relay.example.org","iat":1,"exp":1e999,"scp":[null]}`)
	f.Add(`{"aud":"sideband-relay","iss":"https://relay.example.org","iat":1772366400,"exp":1772366500,"role":"client","did":"d","sub":"s","sid":"AQIDBAUGBwg","scp":["session:create"],"lim":{"concurrent_sessions":1}}`)
	v := verifier(f)
	f.Fuzz(func(t *testing.T, claims string) {
		signed := b64(t, client().Header) + "." + b64(t, claims)
		raw := signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(privKey, []byte(signed)))
		c, err := v.Verify(t.Context(), raw)
		if err == nil && (c.DaemonID == "" || c.Role == sbrp.RoleClient && (c.SessionID == 0 || c.Subject == "" || !c.HasScope(token.ScopeSessionCreate))) {
			t.Errorf("%q passed as %+v", claims, c)
		}
	})
}
