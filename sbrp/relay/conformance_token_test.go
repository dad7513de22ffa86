package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// tokenCases are section 7 with real tokens: package token proves the checks and their order, here they are seen from outside.
func tokenCases(s *sbrptest.Suite) {
	for _, bad := range sbrptest.BadTokens {
		s.Case(bad.Rule, "client", bad.Name, func(t *testing.T) {
			r := newGenuineRig(t, nil)
			f := sbrptest.ForgeClient()
			bad.Spoil(f)
			if strings.ContainsAny(f.Raw(), "\r\n") {
				return // no HTTP client sends it
			}
			refusedWith(t, r, f.Raw(), 401, sbrp.CodeUnauthorized)
			if n := r.srv.Stats(); n.RefusedTokens != 1 || n.Clients != 0 {
				t.Errorf("got %+v", n)
			}
		})
	}
	s.Case("7.1", "client", "Authorization: Bearer", genuine(func(t *testing.T, r *rig) {
		r.genuineSession()
	}))
	s.Case("7.2", "client", "in the query", genuine(tokenQuery))
	s.Case("7.2", "client", "in the query, unsigned", tokenInTheQuery)
	s.Case("7.3", "client", "good and bad ones, log at debug", tokensAreNotLogged)
	s.Case("7.23", "client", "200 broken ones", genuine(brokenTokens))
	s.Case("7.24", "client", "the same token five times", genuine(sameTokenAgain))
	s.Case("7.25", "client", "token expires", tokenExpires)
}

// genuineConfig has the relay check real tokens, at the time that now says.
func genuineConfig(t testing.TB, now func() time.Time) func(*relay.Config) {
	t.Helper()
	keys, err := token.NewKeys(token.PublicKey{ID: sbrptest.TokenKeyID, Key: sbrptest.TokenKey()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: sbrptest.TokenIssuer, Region: sbrptest.TokenRegion, Keys: keys, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *relay.Config) { c.Verifier, c.Region = v, sbrptest.TokenRegion }
}

func newGenuineRig(t testing.TB, log *slog.Logger) *rig {
	t.Helper()
	genuine := genuineConfig(t, func() time.Time { return sbrptest.TokenNow })
	return newRig(t, func(c *relay.Config) {
		genuine(c)
		if log != nil {
			c.Logger = log
		}
	})
}

// genuine is loop with real tokens.
func genuine(f func(t *testing.T, r *rig)) func(*testing.T) {
	return func(t *testing.T) { f(t, newGenuineRig(t, nil)) }
}

// genuineSession is a daemon and a client with real tokens, past their handshake.
func (r *rig) genuineSession() (d, c *end) {
	r.t.Helper()
	d = r.dial(sbrptest.ForgeDaemon().Raw())
	d.sync()
	c = r.dial(sbrptest.ForgeClient().Raw())
	shake(d, c, sbrptest.TokenSession)
	return d, c
}

// tokenQuery: the query is as good as the header, and is not looked at when there is a header.
func tokenQuery(t *testing.T, r *rig) {
	d := r.dial(sbrptest.ForgeDaemon().Raw())
	d.sync()
	good := sbrptest.ForgeClient().Raw()
	conn, err := wsconn.Dial(t.Context(), r.url+"/relay?token="+good, wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn.CloseNow()
	d.wantControl(sbrp.CodeSessionEnded, sbrptest.TokenSession)
	_, err = wsconn.Dial(t.Context(), r.url+"/relay?token="+good, wsconn.DialOptions{Token: "bad"})
	if de, ok := errors.AsType[*wsconn.DialError](err); !ok || de.Status != 401 {
		t.Errorf("a bad header beside a good query: %v, want 401", err)
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func tokensAreNotLogged(t *testing.T) {
	var log lockedLog
	r := newGenuineRig(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	var secrets []string
	for _, bad := range sbrptest.BadTokens {
		f := sbrptest.ForgeClient()
		bad.Spoil(f)
		raw := f.Raw()
		if strings.ContainsAny(raw, "\r\n") {
			continue // no HTTP client sends it
		}
		secrets = append(secrets, raw)
		refusedWith(t, r, raw, 401, sbrp.CodeUnauthorized)
		if _, err := wsconn.Dial(t.Context(), r.url+"/?token="+raw, wsconn.DialOptions{}); err == nil {
			t.Errorf("%s: taken from the query", bad.Name)
		}
	}
	d, c := r.genuineSession()
	secrets = append(secrets, sbrptest.ForgeDaemon().Raw(), sbrptest.ForgeClient().Raw())
	c.send(frameOf(0x77, 0, 0, 0))
	c.wantLast(sbrp.CodeInvalidFrameType, 0)
	d.close()
	r.stop()
	if log.String() == "" {
		t.Error("nothing was logged: this proves nothing")
	}
	for _, raw := range secrets {
		for part := range strings.SplitSeq(raw, ".") {
			if len(part) > 12 && strings.Contains(log.String(), part) {
				t.Fatalf("the log holds a part of a token: %.12s…", part)
			}
		}
	}
}

// brokenTokens cuts and changes a good token in many places.
func brokenTokens(t *testing.T, r *rig) {
	good := sbrptest.ForgeClient().Raw()
	for i := range 200 {
		at := i * len(good) / 200
		for _, raw := range []string{good[:at], good[:at] + "~" + good[at:]} {
			_, err := r.tryDial(raw)
			if de, ok := errors.AsType[*wsconn.DialError](err); !ok || de.Status != 401 || de.Code != "unauthorized" {
				t.Fatalf("at %d: %v, want 401", at, err)
			}
		}
	}
	for _, raw := range []string{".", "..", "...", "a.b.c", "e30.e30.e30", strings.Repeat("a", 8000), strings.Repeat(".", 4000)} {
		refusedWith(t, r, raw, 401, sbrp.CodeUnauthorized)
	}
}

func sameTokenAgain(t *testing.T, r *rig) {
	d := r.dial(sbrptest.ForgeDaemon().Raw())
	d.sync()
	for range 5 {
		c := r.dial(sbrptest.ForgeClient().Raw())
		shake(d, c, sbrptest.TokenSession)
		c.close()
		d.wantControl(sbrp.CodeSessionEnded, sbrptest.TokenSession)
		eventually(t, "the session id is free", func() bool { return r.srv.Stats().Clients == 0 })
	}
	again := r.dial(sbrptest.ForgeDaemon().Raw())
	again.sync()
}

// tokenExpires: a day later the connections still work, and the same tokens open no others.
func tokenExpires(t *testing.T) {
	var begun time.Time
	now := func() time.Time { return sbrptest.TokenNow.Add(time.Since(begun)) }
	bubble(t, genuineConfig(t, now), func(t *testing.T, r *rig) {
		begun = time.Now()
		d, c := r.genuineSession()
		wait(24 * time.Hour)
		for i := range byte(3) {
			c.send(dataFrame(sbrptest.TokenSession, 40, i))
			d.want(dataFrame(sbrptest.TokenSession, 40, i))
		}
		for _, raw := range []string{sbrptest.ForgeClient().Raw(), sbrptest.ForgeDaemon().Raw()} {
			if _, err := r.tryDial(raw); err == nil || !strings.Contains(fmt.Sprint(err), "401") {
				t.Errorf("an expired token: %v", err)
			}
		}
	})
}
