package control_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/sbrp/control"
	"culvert/sbrp/token"
)

func states(keys []control.SigningKey) string {
	var s []string
	for _, k := range keys {
		s = append(s, k.State)
	}
	return strings.Join(s, " ")
}

func rotate(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemon("laptop")
	before, err := p.store.SigningKeys(ctx)
	must(t, err)
	if states(before) != "current next" {
		t.Fatalf("at first: %s", states(before))
	}
	old, err := d.Presence(ctx, id)
	must(t, err)
	if got := headerOf(t, old.PresenceToken); !strings.Contains(got, before[0].ID) {
		t.Errorf("signed with %s, want %s", got, before[0].ID)
	}
	now, err := p.store.RotateSigningKey(ctx)
	must(t, err)
	after, err := p.store.SigningKeys(ctx)
	must(t, err)
	if now.ID != before[1].ID || states(after) != "current next retired" || after[0].ID != before[1].ID || after[2].ID != before[0].ID || !after[0].Began.Equal(p.now()) || !after[2].Retired.Equal(p.now()) {
		t.Errorf("rotated to %v, keys %v", now, after)
	}
	// The new one signs within keyringAge; the old token stays good.
	p.forward(control.KeyringAge)
	fresh, err := d.Presence(ctx, id)
	must(t, err)
	if got := headerOf(t, fresh.PresenceToken); !strings.Contains(got, now.ID) {
		t.Errorf("signed with %s, want %s", got, now.ID)
	}
	p.verify(old.PresenceToken)
	p.verify(fresh.PresenceToken)
	if keys, err := token.ParseJWKS([]byte(p.send("GET", token.JWKSPath, "", "").body)); err != nil || len(keys) != 3 {
		t.Errorf("%d keys shown, %v", len(keys), err)
	}
	// Gone when no token of it can be alive.
	p.forward(control.RetiredKeyLife - control.KeyringAge - time.Millisecond)
	p.server.Tidy(ctx)
	if keys, err := p.store.SigningKeys(ctx); err != nil || states(keys) != "current next retired" {
		t.Errorf("just before: %s, %v", states(keys), err)
	}
	p.forward(time.Millisecond)
	if keys, err := p.store.SigningKeys(ctx); err != nil || states(keys) != "current next" {
		t.Errorf("afterwards: %s, %v", states(keys), err)
	}
	p.server.Tidy(ctx)
	if n, err := p.store.Count(ctx, "signing_keys"); err != nil || n != 2 {
		t.Errorf("%d keys in the store, %v", n, err)
	}
	if _, err := p.server.Keys().Key(ctx, before[0].ID); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("the old key: %v", err)
	}
}

func headerOf(t *testing.T, raw string) string {
	t.Helper()
	b, err := decode64(strings.Split(raw, ".")[0])
	must(t, err)
	return string(b)
}

// Another process rotates: the server follows when it meets the new key, before it
// would ask by itself.
func TestRotateElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	mine, other := openStore(t, path), openStore(t, path)
	c := newClock()
	mine.SetNow(c.now)
	other.SetNow(c.now)
	srv, err := control.New(control.Config{Store: mine, PublicURL: "https://relay.example.org", RelayURL: func() string { return relayURL }, Now: c.now})
	must(t, err)
	keys, err := mine.SigningKeys(t.Context())
	must(t, err)
	_, err = srv.Keys().Key(t.Context(), keys[0].ID)
	must(t, err)
	for range 2 {
		_, err = other.RotateSigningKey(t.Context())
		must(t, err)
	}
	keys, err = other.SigningKeys(t.Context())
	must(t, err)
	// Within the pause an unknown kid does not make us read the store again.
	if _, err := srv.Keys().Key(t.Context(), keys[0].ID); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("within the pause: %v", err)
	}
	c.forward(time.Second)
	for _, k := range keys {
		if got, err := srv.Keys().Key(t.Context(), k.ID); err != nil || !got.Equal(k.Public) {
			t.Errorf("%s: %v", k, err)
		}
	}
}

func TestRotateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	stores := []*control.Store{openStore(t, path), openStore(t, path)}
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for range 5 {
				if _, err := s.RotateSigningKey(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	keys, err := stores[0].SigningKeys(t.Context())
	must(t, err)
	if got := states(keys); got != "current next"+strings.Repeat(" retired", 10) {
		t.Errorf("after ten rotations: %s", got)
	}
}

// Tidying rotates by itself when the key is old; once, however many servers tidy.
func TestRotateByAge(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	first, err := p.store.SigningKeys(ctx)
	must(t, err)
	p.server.Tidy(ctx)
	p.forward(control.RotateAfter - time.Second)
	p.server.Tidy(ctx)
	if keys, _ := p.store.SigningKeys(ctx); states(keys) != "current next" || keys[0].ID != first[0].ID {
		t.Errorf("too early: %v", keys)
	}
	p.forward(time.Second)
	p.server.Tidy(ctx)
	p.server.Tidy(ctx)
	if keys, _ := p.store.SigningKeys(ctx); states(keys) != "current next retired" || keys[0].ID != first[1].ID {
		t.Errorf("after a month: %v", keys)
	}
}

// A store that lost a key (by hand, or by a crash of an older version) mends itself.
func TestSigningKeysMend(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "control.db"))
	ctx := t.Context()
	for _, gone := range []string{"current", "next"} {
		before, err := s.SigningKeys(ctx)
		must(t, err)
		must(t, s.Exec(ctx, `DELETE FROM signing_keys WHERE state = $1`, gone))
		after, err := s.SigningKeys(ctx)
		must(t, err)
		if states(after) != "current next" {
			t.Errorf("without %s: %v", gone, after)
		}
		if gone == "current" && after[0].ID != before[1].ID {
			t.Errorf("the next key did not become current: %v, %v", before, after)
		}
	}
	must(t, s.Exec(ctx, `UPDATE signing_keys SET seed = $1`, []byte{0}))
	if _, err := s.SigningKeys(ctx); err == nil {
		t.Error("a damaged key was taken")
	}
}

func TestSigningKeyPrintsNothing(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "control.db"))
	keys, err := s.SigningKeys(t.Context())
	must(t, err)
	seed := hex.EncodeToString(control.SeedOf(keys[0]))
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%q", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", keys[0], keys)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", keys[0], "keys", keys)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", keys[0], "keys", keys)
	if strings.Contains(strings.ToLower(out.String()), seed[:16]) || strings.Contains(out.String(), fmt.Sprint(control.SeedOf(keys[0]))[1:12]) {
		t.Errorf("the seed is printed: %s", out.String())
	}
}

// Run tidies at once and ends with its context; a store that fails does not end it.
func TestRun(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	must(t, createPairing(p, d, id, 1, time.Minute))
	p.forward(time.Hour)
	for _, failing := range []bool{false, true} {
		if failing {
			must(t, p.store.Close())
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.server.Run(ctx) }()
		tick := time.NewTicker(5 * time.Millisecond)
		for range 2000 {
			<-tick.C
			if n, err := p.store.Count(t.Context(), "pairings"); !failing && err == nil && n == 0 {
				break
			}
			if failing && strings.Contains(p.logged(), "trying again") {
				break
			}
		}
		tick.Stop()
		select {
		case err := <-done:
			t.Errorf("Run has ended by itself: %v", err)
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(p.logged(), "trying again") {
		t.Error("a failing store is not logged")
	}
}

func decode64(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }
