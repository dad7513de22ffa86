package control_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

type fuzzPlane struct {
	*clock
	origin  string
	store   *control.Store
	handler http.Handler
}

func newFuzzPlane(f *testing.F) *fuzzPlane {
	p := newFuzzPlaneAt(f, filepath.Join(f.TempDir(), "control.db"))
	f.Cleanup(func() { _ = p.store.Close() })
	return p
}

// newFuzzPlaneAt is a control plane whose store is in a file, and for the caller to close.
func newFuzzPlaneAt(f testing.TB, file string) *fuzzPlane {
	store, err := control.OpenStore(context.Background(), dsnOf(f, file))
	if err != nil {
		f.Fatal(err)
	}
	p := &fuzzPlane{clock: newClock(), origin: "https://relay.example.org", store: store}
	srv, err := control.New(control.Config{Store: store, PublicURL: p.origin, RelayURL: func() string { return relayURL }, Now: p.now})
	if err != nil {
		f.Fatal(err)
	}
	p.handler = srv.Handler()
	return p
}

// parse sends a token; whatever it is, the answer is a refusal (nobody is enrolled)
// and never a failure of ours.
func (p *fuzzPlane) parse(t *testing.T, raw string) {
	r := httptest.NewRequest(http.MethodGet, api.PathDaemons, nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	p.want4xx(t, r)
}

func (p *fuzzPlane) want4xx(t *testing.T, r *http.Request) {
	t.Helper()
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, r)
	if rec.Code < 400 || rec.Code > 499 {
		t.Errorf("%s %s: %d %s", r.Method, r.URL, rec.Code, rec.Body)
	}
	p.forward(6e9) // the rate limit's bucket fills again
}

// FuzzBody sends arbitrary bodies to every endpoint that takes one.
func FuzzBody(f *testing.F) {
	p := newFuzzPlane(f)
	f.Add(`{}`)
	f.Add(`{"apiKey":"cvk_a_b","name":"x","identityPublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`)
	f.Add(`{"daemonId":"dmn_1","lookup":"AQIDBAUGBwgJCgsMDQ4PEA","ttlSeconds":1e9}`)
	f.Add(`{"scopes":["client"],"expires":"2027-01-01T00:00:00Z"}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{api.PathDevices, api.PathRegister, api.PathPresence, api.PathSessions, api.PathPairings, api.PathRedeem, api.PathKeys} {
			p.want4xx(t, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		}
	})
}

func TestNewRefuses(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "control.db"))
	good := control.Config{Store: store, PublicURL: "https://relay.example.org", RelayURL: func() string { return relayURL }}
	if _, err := control.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*control.Config){
		"no store":       func(c *control.Config) { c.Store = nil },
		"no relay":       func(c *control.Config) { c.RelayURL = nil },
		"no URL":         func(c *control.Config) { c.PublicURL = "" },
		"URL with path":  func(c *control.Config) { c.PublicURL += "/x" },
		"long session":   func(c *control.Config) { c.SessionTTL = 301e9 },
		"short session":  func(c *control.Config) { c.SessionTTL = 1 },
		"long presence":  func(c *control.Config) { c.PresenceTTL = control.MaxPresenceTTL + 1 },
		"short presence": func(c *control.Config) { c.PresenceTTL = 1e9 },
	} {
		c := good
		spoil(&c)
		if _, err := control.New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if !errors.Is(store.RemoveDaemon(t.Context(), "x"), control.ErrNotFound) || !errors.Is(store.RemoveDevice(t.Context(), "x"), control.ErrNotFound) {
		t.Error("removing what is not there is no ErrNotFound")
	}
}
