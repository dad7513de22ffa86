package api_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"culvert/sbrp/api"
)

// canned answers every request alike.
type canned struct {
	status int
	retry  string
	body   []byte
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/json"}, "Retry-After": {c.retry}}
	return &http.Response{StatusCode: c.status, Header: h, Body: io.NopCloser(bytes.NewReader(c.body)), Request: r}, nil
}

// FuzzAnswer gives a client whatever a control plane can say: it must not panic, what is no good answer must be an error, and
// its code must be a word.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "", []byte(`{"relayUrl":"wss://r","token":"a.b.c","daemonId":"d","name":"n","identityPublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`))
	f.Add(200, "", []byte(`[{"id":"d","name":"n","identityPublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","status":"online"}]`))
	f.Add(429, "7", []byte(`{"code":"rate_limited","message":"later"}`))
	f.Add(401, "-1", []byte(`{"code":"UP; rm","message":1}`))
	f.Add(302, "", []byte(``))
	f.Fuzz(func(t *testing.T, status int, retry string, body []byte) {
		if status < 200 || status > 599 || status > 299 && status < 400 {
			return // net/http deals with those
		}
		c, err := api.NewClient(api.Config{BaseURL: "https://relay.example.org", Key: deviceKey, HTTP: &http.Client{Transport: canned{status, retry, body}}})
		if err != nil {
			t.Fatal(err)
		}
		_, session := c.CreateSession(t.Context(), "d")
		_, list := c.Daemons(t.Context())
		_, redeem := c.RedeemPairing(t.Context(), api.Lookup{})
		for _, err := range []error{session, list, redeem} {
			if err == nil {
				if status > 299 {
					t.Errorf("status %d is taken for good", status)
				}
				continue
			}
			e, ok := errors.AsType[*api.Error](err)
			if !ok {
				t.Fatalf("status %d, %q: %v is no *api.Error", status, body, err)
			}
			if e.Code == "" || len(e.Code) > 64 || strings.Trim(e.Code, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || e.RetryAfter < 0 {
				t.Errorf("status %d, %q: code %q, retry after %v", status, body, e.Code, e.RetryAfter)
			}
		}
	})
}
