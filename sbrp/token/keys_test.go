package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"culvert/sbrp/token"
)

func TestKeysSet(t *testing.T) {
	var k token.Keys
	if _, err := k.Key(t.Context(), kid); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("zero value: %v", err)
	}
	if err := k.Set(token.PublicKey{ID: "a", Key: pubKey}); err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]token.PublicKey{
		"no id":    {{Key: pubKey}},
		"short":    {{ID: "b", Key: pubKey[:31]}},
		"id twice": {{ID: "b", Key: pubKey}, {ID: "b", Key: pubKey}},
	} {
		if err := k.Set(keys...); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := token.NewKeys(keys...); err == nil {
			t.Errorf("%s: taken by NewKeys", name)
		}
	}
	if got, err := k.Key(t.Context(), "a"); err != nil || !got.Equal(pubKey) {
		t.Errorf("after bad sets: %v, %v", got, err)
	}
	if _, err := k.Key(t.Context(), "b"); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("unknown: %v", err)
	}
}

func TestKeysServe(t *testing.T) {
	k, err := token.NewKeys(token.PublicKey{ID: "a", Key: pubKey}, token.PublicKey{ID: "b", Key: pubKey})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	k.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, token.JWKSPath, nil))
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil || rec.Code != 200 {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	want := map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "a", "x": base64.RawURLEncoding.EncodeToString(pubKey)}
	for name, v := range want {
		if doc.Keys[0][name] != v {
			t.Errorf("%s is %q, want %q", name, doc.Keys[0][name], v)
		}
	}
	if len(doc.Keys) != 2 || len(doc.Keys[0]) != len(want) {
		t.Errorf("document %s", rec.Body)
	}
	if got, err := token.ParseJWKS(rec.Body.Bytes()); err != nil || len(got) != 2 || !got[1].Key.Equal(pubKey) {
		t.Errorf("parsed back: %v, %v", got, err)
	}
	rec = httptest.NewRecorder()
	k.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, token.JWKSPath, nil))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", rec.Code)
	}
	empty, err := new(token.Keys).MarshalJSON()
	if err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("empty: %s, %v", empty, err)
	}
}

func TestParseJWKS(t *testing.T) {
	x := base64.RawURLEncoding.EncodeToString(pubKey)
	other := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	good := `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k","x":"` + x + `"}`
	tests := []struct {
		name, doc string
		want      int // usable keys; -1: error
	}{
		{"plain", `{"keys":[` + good + `]}`, 1},
		{"with use", `{"keys":[` + strings.Replace(good, `"kid"`, `"use":"sig","kid"`, 1) + `]}`, 1},
		{"twice the same", `{"keys":[` + good + `,` + good + `]}`, 1},
		{"twice, different", `{"keys":[` + good + `,` + strings.Replace(good, x, other, 1) + `]}`, 0},
		{"without alg", `{"keys":[` + strings.Replace(good, `"alg":"EdDSA",`, ``, 1) + `]}`, 0},
		{"alg Ed448", `{"keys":[` + strings.Replace(good, `EdDSA`, `Ed448`, 1) + `]}`, 0},
		{"X25519", `{"keys":[` + strings.Replace(good, `Ed25519`, `X25519`, 1) + `]}`, 0},
		{"for encryption", `{"keys":[` + strings.Replace(good, `"kid"`, `"use":"enc","kid"`, 1) + `]}`, 0},
		{"no kid", `{"keys":[` + strings.Replace(good, `"kid":"k",`, ``, 1) + `]}`, 0},
		{"short x", `{"keys":[` + strings.Replace(good, x, x[:40], 1) + `]}`, 0},
		{"RSA beside it", `{"keys":[{"kty":"RSA","alg":"RS256","kid":"r","n":"AQ","e":"AQAB"},1,null,"x",` + good + `]}`, 1},
		{"empty", `{"keys":[]}`, 0},
		{"no keys", `{}`, -1},
		{"keys null", `{"keys":null}`, -1},
		{"keys an object", `{"keys":{}}`, -1},
		{"HTML", `<html>`, -1},
		{"nothing", ``, -1},
	}
	for _, tc := range tests {
		got, err := token.ParseJWKS([]byte(tc.doc))
		if (err != nil) != (tc.want < 0) || err == nil && len(got) != tc.want {
			t.Errorf("%s: %d keys, %v; want %d", tc.name, len(got), err, tc.want)
		}
	}
}

func FuzzParseJWKS(f *testing.F) {
	k, err := token.NewKeys(token.PublicKey{ID: "a", Key: pubKey})
	if err != nil {
		f.Fatal(err)
	}
	doc, err := k.MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte(`{"keys":[null,{"kid":1}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		keys, err := token.ParseJWKS(doc)
		if err != nil {
			return
		}
		// What is usable can be held and shown again.
		k, err := token.NewKeys(keys...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.MarshalJSON(); err != nil {
			t.Fatal(err)
		}
	})
}

func jwksURL(t *testing.T) {
	for _, iss := range []string{"https://a.example", "https://a.example/"} {
		if got := token.JWKSURL(iss); got != "https://a.example/.well-known/jwks.json" {
			t.Errorf("%s: %s", iss, got)
		}
	}
}
