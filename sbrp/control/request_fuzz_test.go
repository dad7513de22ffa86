package control_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// RoundTrip serves a request without a network.
func (p *fuzzPlane) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// enrolledPlane is a control plane with one admin's device.
func enrolledPlane(t testing.TB, file string) (*fuzzPlane, ed25519.PrivateKey) {
	t.Helper()
	p := newFuzzPlaneAt(t, file)
	_, secret, err := p.store.CreateKey(context.Background(), control.KeySpec{Scopes: []string{api.ScopeAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	_, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := api.NewClient(api.Config{BaseURL: p.origin, Key: priv, HTTP: &http.Client{Transport: p}, Now: p.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enroll(context.Background(), api.EnrollRequest{APIKey: secret, Name: "box"}); err != nil {
		t.Fatal(err)
	}
	return p, priv
}

// FuzzRequest has an enrolled device, an admin's even, ask for anything: every answer is JSON, none is a failure of ours, and a
// refusal has its code.
func FuzzRequest(f *testing.F) {
	paths := []string{api.PathDevices, api.PathDaemons, api.PathRegister, api.PathPresence, api.PathSessions, api.PathPairings, api.PathRedeem, api.PathKeys, "/healthz", "/"}
	dir := f.TempDir()
	p, priv := enrolledPlane(f, filepath.Join(dir, "control.db"))
	f.Cleanup(func() { _ = p.store.Close() })
	runs := 0
	f.Add(uint8(2), "", "POST", `{"identityPublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","name":"laptop","replace":true}`)
	f.Add(uint8(7), "", "POST", `{"scopes":["client"],"expires":"2027-01-01T00:00:00Z","name":"k"}`)
	f.Add(uint8(7), "/key_1", "DELETE", ``)
	f.Add(uint8(5), "", "POST", `{"daemonId":"dmn_1","lookup":"AQIDBAUGBwgJCgsMDQ4PEA","ttlSeconds":1e9}`)
	f.Add(uint8(5), "/AQIDBAUGBwgJCgsMDQ4PEA", "DELETE", ``)
	f.Add(uint8(6), "", "POST", `{"lookup":"AQIDBAUGBwgJCgsMDQ4PEA","name":"x"}`)
	f.Add(uint8(1), "/..//x", "GET", `null`)
	f.Fuzz(func(t *testing.T, at uint8, more, method, body string) {
		if runs++; runs%2000 == 0 { // what they make must not pile up
			if err := p.store.Close(); err != nil {
				t.Fatal(err)
			}
			p, priv = enrolledPlane(t, filepath.Join(dir, fmt.Sprintf("control%d.db", runs)))
		}
		token, err := api.SignDeviceToken(priv, p.origin, p.now())
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{
			Method: method, URL: &url.URL{Path: paths[int(at)%len(paths)] + more}, Host: "relay.example.org", RemoteAddr: "192.0.2.1:5",
			Header: http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}},
			Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}
		rec := httptest.NewRecorder()
		p.handler.ServeHTTP(rec, r.WithContext(t.Context()))
		p.forward(6e9) // the rate limit's bucket fills again
		if rec.Code < 200 || rec.Code > 499 {
			t.Fatalf("%s %q %q: %d %s", method, r.URL.Path, body, rec.Code, rec.Body)
		}
		if rec.Code == http.StatusNoContent {
			return
		}
		var refusal struct{ Code, Message string }
		if !strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %q: %d %q is no JSON", method, r.URL.Path, rec.Code, rec.Body)
		}
		if rec.Code >= 400 && (json.Unmarshal(rec.Body.Bytes(), &refusal) != nil || refusal.Code == "" || refusal.Message == "") {
			t.Errorf("%s %q: %d %q does not say why", method, r.URL.Path, rec.Code, rec.Body)
		}
	})
}

// FuzzRestore restores a backup in which bytes were changed, or of which the end is missing: it is restored whole or it is
// refused, and then the store has what it had.
func FuzzRestore(f *testing.F) {
	if overPostgres != "" {
		f.Skip("about SQLite's file; it has run without us")
	}
	dir := f.TempDir()
	p := newFuzzPlane(f)
	ctx := f.Context()
	for _, name := range []string{"first", "second"} {
		if _, _, err := p.store.CreateKey(ctx, control.KeySpec{Name: name, Scopes: []string{api.ScopeClient}}); err != nil {
			f.Fatal(err)
		}
	}
	good := filepath.Join(dir, "good.db")
	if err := p.store.Backup(ctx, good); err != nil {
		f.Fatal(err)
	}
	backup, err := os.ReadFile(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0, 0, 0, 'x'}, uint32(0))
	f.Add([]byte{0, 0, 18, 0, 0, 16, 0, 0x0a}, uint32(0))
	f.Add([]byte{0, 0, 100, 0x0d}, uint32(1))
	f.Add([]byte{}, uint32(len(backup)/2))
	f.Fuzz(func(t *testing.T, edits []byte, missing uint32) {
		b := bytes.Clone(backup[:len(backup)-int(missing%uint32(len(backup)))])
		for ; len(edits) >= 4; edits = edits[4:] {
			b[(int(edits[0])<<16|int(edits[1])<<8|int(edits[2]))%len(b)] = edits[3]
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		was := namesOf(t, p.store)
		r, err := p.store.Restore(t.Context(), file)
		is := namesOf(t, p.store)
		switch {
		case err != nil && !slices.Equal(was, is):
			t.Errorf("refused (%v), and the store has %q instead of %q", err, is, was)
		case err == nil && r.Keys != len(is):
			t.Errorf("restored %+v, and the store has the keys %q", r, is)
		case err == nil:
			if _, err := p.store.Restore(t.Context(), good); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("the good backup after that: %v", err)
			}
		}
	})
}

// namesOf lists the keys that a store has.
func namesOf(t *testing.T, s *control.Store) (names []string) {
	t.Helper()
	keys, err := s.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		names = append(names, k.Name)
	}
	return names
}
