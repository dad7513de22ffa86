package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

const (
	issuer = "https://relay.example.org"
	region = "eu"
	kid    = "k1"
)

var (
	now     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	privKey = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	pubKey  = privKey.Public().(ed25519.PublicKey)
	sid     = sbrp.SessionID(0x0102030405060708)
)

type obj = map[string]any

// forged is a token in the making: tests spoil it in one place or several, and it
// is signed at the end, so that the signature is good unless that is what is spoilt.
type forged struct {
	header, claims obj
	key            ed25519.PrivateKey
	after          []func(raw string) string
}

func client() *forged {
	return &forged{
		header: obj{"typ": "sbrp-relay+jwt", "alg": "EdDSA", "kid": kid},
		claims: obj{
			"iss": issuer, "aud": "sideband-relay", "exp": now.Add(2 * time.Minute).Unix(), "iat": now.Unix(), "jti": "j1", "ver": 1,
			"sub": "dev_1", "role": "client", "did": "dmn_1", "sid": sid.String(), "scp": []string{"session:create"}, "region": region,
			"lim": obj{"concurrent_sessions": 3},
		},
		key: privKey,
	}
}

func daemon() *forged {
	f := client()
	maps.DeleteFunc(f.claims, func(k string, _ any) bool { return k == "sub" || k == "sid" })
	f.claims["role"], f.claims["scp"] = "daemon", []string{"session:resume"}
	f.claims["exp"] = now.Add(time.Hour).Unix()
	return f
}

func (f *forged) set(name string, v any) { f.claims[name] = v }

func (f *forged) raw(t testing.TB) string {
	t.Helper()
	raw := b64(t, f.header) + "." + b64(t, f.claims)
	raw += "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(f.key, []byte(raw)))
	for _, spoil := range f.after {
		raw = spoil(raw)
	}
	return raw
}

func b64(t testing.TB, v any) string {
	t.Helper()
	if s, ok := v.(string); ok {
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func verifier(t testing.TB, change ...func(*token.VerifierConfig)) *token.Verifier {
	t.Helper()
	keys, err := token.NewKeys(token.PublicKey{ID: kid, Key: pubKey})
	if err != nil {
		t.Fatal(err)
	}
	cfg := token.VerifierConfig{Issuer: issuer, Region: region, Keys: keys, Now: func() time.Time { return now }}
	for _, c := range change {
		c(&cfg)
	}
	v, err := token.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
