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
	"culvert/sbrp/token"
)

// ruleOrder is section 7's order, written down a second time.
var ruleOrder = []token.Rule{
	token.RuleFormat, token.RuleType, token.RuleKeyID, token.RuleSignature, token.RuleAudience, token.RuleIssuer,
	token.RuleTimes, token.RuleExpired, token.RuleVersion, token.RuleRole, token.RuleDaemonID, token.RuleSubject,
	token.RuleSession, token.RuleRegion, token.RuleLifetime, token.RuleScopes, token.RuleLimits,
}

type badToken struct {
	name  string
	rule  token.Rule
	spoil func(f *forged)
}

func set(claim string, v any) func(*forged) { return func(f *forged) { f.claims[claim] = v } }
func drop(claim string) func(*forged)       { return func(f *forged) { delete(f.claims, claim) } }
func head(name string, v any) func(*forged) { return func(f *forged) { f.header[name] = v } }
func text(c func(string) string) func(*forged) {
	return func(f *forged) { f.after = append(f.after, c) }
}

var badTokens = []badToken{
	{"too long", token.RuleFormat, text(func(s string) string { return s + strings.Repeat("A", 4097-len(s)) })},
	{"two parts", token.RuleFormat, text(func(s string) string { return s[:strings.LastIndex(s, ".")] })},
	{"four parts", token.RuleFormat, text(func(s string) string { return s + ".x" })},
	{"line break", token.RuleFormat, text(func(s string) string { return s + "\n" })},
	{"header with padding", token.RuleFormat, text(func(s string) string { return "e30=" + s[strings.Index(s, "."):] })},
	{"header no JSON", token.RuleFormat, text(func(s string) string { return "eHh4" + s[strings.Index(s, "."):] })},
	{"header null", token.RuleFormat, text(func(s string) string { return "bnVsbA" + s[strings.Index(s, "."):] })},
	{"crit", token.RuleFormat, head("crit", []string{"exp"})},
	{"typ missing", token.RuleType, func(f *forged) { delete(f.header, "typ") }},
	{"typ JWT", token.RuleType, head("typ", "JWT")},
	{"typ of device token", token.RuleType, head("typ", "culvert-device+jwt")},
	{"typ in capitals", token.RuleType, head("typ", "SBRP-RELAY+JWT")},
	{"typ no string", token.RuleType, head("typ", 1)},
	{"kid missing", token.RuleKeyID, func(f *forged) { delete(f.header, "kid") }},
	{"kid empty", token.RuleKeyID, head("kid", "")},
	{"kid no string", token.RuleKeyID, head("kid", 7)},
	{"kid unknown", token.RuleSignature, head("kid", "k2")},
	{"alg missing", token.RuleSignature, func(f *forged) { delete(f.header, "alg") }},
	{"alg none", token.RuleSignature, head("alg", "none")},
	{"alg RS256", token.RuleSignature, head("alg", "RS256")},
	{"other key", token.RuleSignature, func(f *forged) { f.key = ed25519.NewKeyFromSeed(make([]byte, 32)) }},
	{"signature no base64", token.RuleSignature, text(func(s string) string { return s[:len(s)-1] + "*" })},
	{"no signature", token.RuleSignature, text(func(s string) string { return s[:strings.LastIndex(s, ".")+1] })},
	{"signature cut", token.RuleSignature, text(func(s string) string { return s[:len(s)-4] })},
	{"claims changed", token.RuleSignature, text(func(s string) string {
		p := strings.Split(s, ".")
		return p[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"role":"daemon"}`)) + "." + p[2]
	})},
	{"aud missing", token.RuleAudience, drop("aud")},
	{"aud other", token.RuleAudience, set("aud", "sideband-control")},
	{"aud array without", token.RuleAudience, set("aud", []string{"a", "b"})},
	{"aud array of mixed", token.RuleAudience, set("aud", []any{"sideband-relay", 1})},
	{"aud array with null", token.RuleAudience, set("aud", []any{"sideband-relay", nil})},
	{"aud null", token.RuleAudience, set("aud", nil)},
	{"aud by another case only", token.RuleAudience, func(f *forged) { delete(f.claims, "aud"); f.claims["AUD"] = "sideband-relay" }},
	{"iss missing", token.RuleIssuer, drop("iss")},
	{"iss other", token.RuleIssuer, set("iss", issuer+"/")},
	{"iss no string", token.RuleIssuer, set("iss", []string{issuer})},
	{"iat missing", token.RuleTimes, drop("iat")},
	{"iat text", token.RuleTimes, set("iat", "1700000000")},
	{"iat null", token.RuleTimes, set("iat", nil)},
	{"exp missing", token.RuleTimes, drop("exp")},
	{"exp text", token.RuleTimes, set("exp", "1700000000")},
	{"exp negative", token.RuleTimes, set("exp", -1)},
	{"exp beyond all dates", token.RuleTimes, set("exp", 1e300)},
	{"exp past", token.RuleExpired, func(f *forged) { f.set("iat", now.Unix()-90); f.set("exp", now.Unix()-30) }},
	{"ver 2", token.RuleVersion, set("ver", 2)},
	{"ver text", token.RuleVersion, set("ver", "1")},
	{"ver null", token.RuleVersion, set("ver", nil)},
	{"ver fraction", token.RuleVersion, set("ver", 1.5)},
	{"role missing", token.RuleRole, drop("role")},
	{"role relay", token.RuleRole, set("role", "relay")},
	{"role in capitals", token.RuleRole, set("role", "Client")},
	{"did missing", token.RuleDaemonID, drop("did")},
	{"did empty", token.RuleDaemonID, set("did", "")},
	{"did no string", token.RuleDaemonID, set("did", 5)},
	{"sub missing", token.RuleSubject, drop("sub")},
	{"sub empty", token.RuleSubject, set("sub", "")},
	{"sub no string", token.RuleSubject, set("sub", true)},
	{"sid missing", token.RuleSession, drop("sid")},
	{"sid zero", token.RuleSession, set("sid", "AAAAAAAAAAA")},
	{"sid short", token.RuleSession, set("sid", "AQIDBAUGBw")},
	{"sid with padding", token.RuleSession, set("sid", "AQIDBAUGBwg=")},
	{"sid number", token.RuleSession, set("sid", 72623859790382856)},
	{"region other", token.RuleRegion, set("region", "us")},
	{"region empty", token.RuleRegion, set("region", "")},
	{"region null", token.RuleRegion, set("region", nil)},
	{"lifetime 301 s", token.RuleLifetime, func(f *forged) { f.set("exp", now.Unix()+301) }},
	{"lifetime by early iat", token.RuleLifetime, func(f *forged) { f.set("iat", now.Unix()-299) }},
	{"lifetime none", token.RuleLifetime, func(f *forged) { f.set("iat", now.Unix()+120) }},
	{"lifetime backwards", token.RuleLifetime, func(f *forged) { f.set("iat", now.Unix()+600) }},
	{"scp missing", token.RuleScopes, drop("scp")},
	{"scp text", token.RuleScopes, set("scp", "session:create")},
	{"scp null", token.RuleScopes, set("scp", nil)},
	{"scp mixed", token.RuleScopes, set("scp", []any{"session:create", 1})},
	{"scp empty", token.RuleScopes, set("scp", []string{})},
	{"scp without create", token.RuleScopes, set("scp", []string{"session:resume", "session:create:all"})},
	{"lim text", token.RuleLimits, set("lim", "3")},
	{"lim null", token.RuleLimits, set("lim", nil)},
	{"lim zero", token.RuleLimits, set("lim", obj{"concurrent_sessions": 0})},
	{"lim negative", token.RuleLimits, set("lim", obj{"concurrent_sessions": -1})},
	{"lim fraction", token.RuleLimits, set("lim", obj{"concurrent_sessions": 1.5})},
	{"lim huge", token.RuleLimits, set("lim", obj{"concurrent_sessions": 1e18})},
	{"lim null inside", token.RuleLimits, set("lim", obj{"concurrent_sessions": nil})},
}

func TestVerifyBad(t *testing.T) {
	v := verifier(t)
	seen := map[token.Rule]bool{}
	for _, tc := range badTokens {
		t.Run(tc.name, func(t *testing.T) {
			seen[tc.rule] = true
			f := client()
			tc.spoil(f)
			wantRule(t, v, f.raw(t), tc.rule)
		})
	}
	for _, r := range ruleOrder {
		if !seen[r] {
			t.Errorf("no bad token for rule %s", r)
		}
	}
}

// TestVerifyOrder spoils tokens in two places: the earlier rule must be the one
// that refuses. Two bad tokens per rule are enough here.
func TestVerifyOrder(t *testing.T) {
	v := verifier(t)
	count := map[token.Rule]int{}
	bad := slices.DeleteFunc(slices.Clone(badTokens), func(b badToken) bool { count[b.rule]++; return count[b.rule] > 2 })
	for i, a := range bad {
		for _, b := range bad[i+1:] {
			first, second := slices.Index(ruleOrder, a.rule), slices.Index(ruleOrder, b.rule)
			if first == second {
				continue
			}
			// The earlier rule's last: where both set the same claim, that one must stand.
			f := client()
			b.spoil(f)
			a.spoil(f)
			raw := f.raw(t)
			_, err := v.Verify(t.Context(), raw)
			e, ok := errors.AsType[*token.Error](err)
			if !ok || e.Rule != a.rule {
				t.Errorf("%q with %q: %v, want rule %s", a.name, b.name, err, a.rule)
			}
		}
	}
}

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
		{"within skew", with(client, func(f *forged) { f.set("iat", now.Unix()-149); f.set("exp", now.Unix()-29) }), nil},
		{"300 s", with(client, set("exp", now.Unix()+300)), nil},
		{"fractions of seconds", with(client, set("exp", float64(now.Unix())+60.5)), nil},
		{"unknown claims and header fields", with(client, func(f *forged) { f.set("x", obj{}); f.header["x"] = 1 }), nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := v.Verify(t.Context(), tc.make().raw(t))
			if err != nil {
				t.Fatal(err)
			}
			if tc.check != nil && !tc.check(c) {
				t.Errorf("got claims %+v", c)
			}
		})
	}
}

func with(make func() *forged, change func(*forged)) func() *forged {
	return func() *forged { f := make(); change(f); return f }
}

// The classic: a token signed by HMAC with the public key as the secret.
func TestVerifyAlgorithmConfusion(t *testing.T) {
	h := obj{"typ": token.Type, "alg": "HS256", "kid": kid}
	signed := b64(t, h) + "." + b64(t, client().claims)
	m := hmac.New(sha256.New, pubKey)
	m.Write([]byte(signed))
	wantRule(t, verifier(t), signed+"."+base64.RawURLEncoding.EncodeToString(m.Sum(nil)), token.RuleSignature)
}

func TestVerifyWithoutRegion(t *testing.T) {
	v := verifier(t, func(c *token.VerifierConfig) { c.Region = "" })
	wantRule(t, v, client().raw(t), token.RuleRegion)
	if _, err := v.Verify(t.Context(), with(client, drop("region"))().raw(t)); err != nil {
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
	raw := client().raw(t)
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

func TestVerifyWarnsOfLongLife(t *testing.T) {
	var log bytes.Buffer
	v := verifier(t, func(c *token.VerifierConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for exp, warn := range map[int64]bool{120: false, 121: true} {
		log.Reset()
		if _, err := v.Verify(t.Context(), with(client, set("exp", now.Unix()+exp))().raw(t)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "longer than it should"); got != warn {
			t.Errorf("lifetime %d s: warned %t, want %t", exp, got, warn)
		}
	}
	log.Reset()
	if _, err := v.Verify(t.Context(), daemon().raw(t)); err != nil || log.Len() > 0 {
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
	f.Add(client().raw(f))
	f.Add(daemon().raw(f))
	for _, tc := range badTokens {
		b := client()
		tc.spoil(b)
		f.Add(b.raw(f))
	}
	f.Add("..")
	v := verifier(f)
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			if _, ok := errors.AsType[*token.Error](err); !ok {
				t.Errorf("error is %T, want *token.Error", err)
			}
		}
	})
}

// FuzzClaims puts arbitrary JSON behind a good signature: the control plane could be
// someone else's.
func FuzzClaims(f *testing.F) {
	f.Add(`{"aud":"sideband-relay"}`)
	f.Add(`{"aud":["sideband-relay"],"iss":"https://relay.example.org","iat":1,"exp":1e999,"scp":[null]}`)
	f.Add(`{"aud":"sideband-relay","iss":"https://relay.example.org","iat":1772366400,"exp":1772366500,"role":"client","did":"d","sub":"s","sid":"AQIDBAUGBwg","scp":["session:create"],"lim":{"concurrent_sessions":1}}`)
	v := verifier(f)
	f.Fuzz(func(t *testing.T, claims string) {
		signed := b64(t, client().header) + "." + b64(t, claims)
		raw := signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(privKey, []byte(signed)))
		c, err := v.Verify(t.Context(), raw)
		if err == nil && (c.DaemonID == "" || c.Role == sbrp.RoleClient && (c.SessionID == 0 || c.Subject == "" || !c.HasScope(token.ScopeSessionCreate))) {
			t.Errorf("%q passed as %+v", claims, c)
		}
	})
}
