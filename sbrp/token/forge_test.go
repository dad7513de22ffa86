package token_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"culvert/sbrp/sbrptest"
	"culvert/sbrp/token"
)

const (
	issuer = sbrptest.TokenIssuer
	region = sbrptest.TokenRegion
	kid    = sbrptest.TokenKeyID
	sid    = sbrptest.TokenSession
)

var (
	now     = sbrptest.TokenNow
	privKey = sbrptest.ForgeClient().Key
	pubKey  = sbrptest.TokenKey()
)

type (
	obj    = map[string]any
	forged = sbrptest.Forged
)

func client() *forged { return sbrptest.ForgeClient() }
func daemon() *forged { return sbrptest.ForgeDaemon() }

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
