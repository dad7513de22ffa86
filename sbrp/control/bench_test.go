package control_test

import (
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// What a relay's restart costs: every daemon registers again, every client asks for
// a new session.
func BenchmarkComeback(b *testing.B) {
	store, err := control.OpenStore(b.Context(), dsnOf(b, filepath.Join(b.TempDir(), "control.db")))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	c := newClock()
	const origin = "https://relay.example.org"
	srv, err := control.New(control.Config{Store: store, PublicURL: origin, RelayURL: func() string { return relayURL }, Now: c.now})
	if err != nil {
		b.Fatal(err)
	}
	k, _, err := store.CreateKey(b.Context(), control.KeySpec{Scopes: []string{"admin"}})
	if err != nil {
		b.Fatal(err)
	}
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	key := sbrp.PublicKey(pub)
	if _, err := store.Enroll(b.Context(), key, k, c.now()); err != nil {
		b.Fatal(err)
	}
	d, err := store.Register(b.Context(), key, "laptop", k, c.now())
	if err != nil {
		b.Fatal(err)
	}
	h := srv.Handler()
	for path, body := range map[string]string{
		api.PathRegister: `{"identityPublicKey":"` + key.String() + `","name":"laptop"}`,
		api.PathSessions: `{"daemonId":"` + d.ID + `"}`,
	} {
		b.Run(strings.TrimPrefix(path, "/api/"), func(b *testing.B) {
			for b.Loop() {
				raw, err := api.SignDeviceToken(priv, origin, c.now())
				if err != nil {
					b.Fatal(err)
				}
				r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+raw)
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code != http.StatusOK {
					b.Fatal(rec.Code, rec.Body)
				}
			}
		})
	}
}
