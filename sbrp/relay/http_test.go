package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

func refusedBeforeTheUpgrade(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Region = "eu" })
	d := r.dial(mint(openClaims{Role: sbrp.RoleDaemon, Daemon: "daemon-x", Sessions: 2}))
	d.sync()
	r.session(d, "daemon-x", 7)
	create := []string{token.ScopeSessionCreate}
	for _, tt := range []struct {
		name, path, token string
		status            int
		code              string
		retry             bool
	}{
		{"no token", "/", "", 401, "unauthorized", false},
		{"bad token", "/relay", "daemon-x", 401, "unauthorized", false},
		{"bad token in the query", "/?token=daemon-x", "", 401, "unauthorized", false},
		{"another region", "/", mint(openClaims{Role: sbrp.RoleClient, Daemon: "daemon-x", Session: 8, Scopes: create, Region: "us"}), 401, "unauthorized", false},
		{"may not open a session", "/", mint(openClaims{Role: sbrp.RoleClient, Daemon: "daemon-x", Session: 8}), 403, "forbidden", false},
		{"sid connected", "/", clientToken("daemon-x", 7), 409, "session_conflict", false},
		{"no role", "/", mint(openClaims{Daemon: "daemon-x"}), 500, "internal_error", false},
		{"wrong path", "/relay/x", clientToken("daemon-x", 8), 404, "not_found", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wsconn.Dial(t.Context(), r.url+tt.path, wsconn.DialOptions{Token: tt.token})
			de, ok := errors.AsType[*wsconn.DialError](err)
			if !ok || de.Status != tt.status || de.Code != tt.code {
				t.Fatalf("got %v, want %d %s", err, tt.status, tt.code)
			}
			if de.Message == "" || strings.Contains(de.Message, "daemon-x") {
				t.Errorf("message %q", de.Message)
			}
		})
	}
	second := r.client("daemon-x", 8) // counts from the moment that it is connected
	_, err := r.tryDial(clientToken("daemon-x", 9))
	if de, ok := errors.AsType[*wsconn.DialError](err); !ok || de.Status != 429 || de.Code != "rate_limited" || de.RetryAfter == 0 {
		t.Errorf("one session too many: got %v", err)
	}
	second.close()
	eventually(t, "its place is free", func() bool {
		c, err := r.tryDial(clientToken("daemon-x", 9))
		if err == nil {
			c.close()
		}
		return err == nil
	})
	n := r.srv.Stats()
	if n.RefusedTokens != 4 || n.RefusedForbidden != 1 || n.RefusedConflicts != 1 || n.RefusedLimits < 1 || n.RefusedInternal != 1 || n.RefusedRequests != 1 {
		t.Errorf("got %+v", n)
	}
}

func TestOrdinaryRequests(t *testing.T) {
	srv, err := relay.New(relay.Config{Verifier: openVerifier{}})
	if err != nil {
		t.Fatal(err)
	}
	upgrade := func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }
	for _, tt := range []struct {
		name, method string
		mod          func(*http.Request)
		status       int
	}{
		{"browser", http.MethodGet, func(*http.Request) {}, 426},
		{"wrong method", http.MethodPost, upgrade, 426},
		{"another upgrade", http.MethodGet, func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 426},
		{"no token", http.MethodGet, upgrade, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, w := httptest.NewRequest(tt.method, "/", nil), httptest.NewRecorder()
			tt.mod(req)
			srv.ServeHTTP(w, req)
			var body struct{ Code, Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Code == "" || body.Message == "" {
				t.Errorf("body %q", w.Body)
			}
			if w.Code != tt.status || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, header %v", w.Code, w.Header())
			}
			if tt.status == 401 && w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("header %v", w.Header())
			}
		})
	}
	// An upgrade that goes wrong half-way leaves nothing behind.
	req, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	upgrade(req)
	req.Header.Set("Authorization", "Bearer "+clientToken("d", 7))
	srv.ServeHTTP(w, req)
	if w.Code < 400 || srv.Slots() != 0 || srv.Stats().Clients != 0 {
		t.Errorf("status %d, %d slots", w.Code, srv.Slots())
	}
}

func tokenInTheQuery(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	conn, err := wsconn.Dial(t.Context(), r.url+"/relay?token="+`{"Role":1,"Daemon":"d","Session":7,"Scopes":["session:create"]}`, wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(initFrame(7)); err != nil {
		t.Fatal(err)
	}
	d.want(initFrame(7))
}

// The end of Run: everybody gets 1001, newcomers get 503, and nothing is left (TestMain looks for goroutines).
func TestDrain(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d", token.ScopeSessionResume)
	var clients []*end
	for sid := sbrp.SessionID(1); sid <= 20; sid++ {
		clients = append(clients, r.session(d, "d", sid))
	}
	mute := r.dialHand(clientToken("d", 99)) // does not answer the close
	start := time.Now()
	r.stopRelay()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	for i, e := range append(clients, d) {
		if !e.toldToGo() {
			t.Errorf("connection %d of %d: %v", i, len(clients)+1, e.err)
		}
	}
	_, err := r.tryDial(daemonToken("d"))
	if de, ok := errors.AsType[*wsconn.DialError](err); !ok || de.Status != 503 {
		t.Errorf("a newcomer: got %v", err)
	}
	_ = mute
}

func controlOf(b []byte) sbrp.Code {
	f, err := sbrp.ParseFrame(b)
	if err != nil || f.Type != sbrp.FrameControl {
		return 0
	}
	c, _, err := sbrp.ParseControl(f.Payload)
	if err != nil {
		return 0
	}
	return c
}

// Connections that arrive while the relay ends are either refused or closed.
func TestDrainDuringAStorm(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	done := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for {
				c, err := wsconn.Dial(context.Background(), r.url, wsconn.DialOptions{Token: clientToken("d", sbrp.NewSessionID())})
				if err != nil {
					done <- n
					return
				}
				n++
				if n%2 == 0 {
					c.CloseNow()
					continue
				}
				defer c.CloseNow()
				go func() { _, _ = c.Read(make([]byte, sbrp.MaxFrame+1)) }() // answers the close
			}
		}()
	}
	d.chatter()
	r.stopRelay()
	for range 4 {
		<-done
	}
	if n := r.srv.Stats(); n.Clients != 0 || n.Daemons != 0 {
		t.Errorf("left: %+v", n)
	}
}

func TestConfig(t *testing.T) {
	good := relay.Config{Verifier: openVerifier{}}
	if _, err := relay.New(good); err != nil {
		t.Fatal(err)
	}
	for name, mod := range map[string]func(*relay.Config){
		"Verifier":     func(c *relay.Config) { c.Verifier = nil },
		"Grace":        func(c *relay.Config) { c.Grace = -1 },
		"PingInterval": func(c *relay.Config) { c.PingInterval = time.Hour },
		"ClientQueue":  func(c *relay.Config) { c.ClientQueue = 1000 },
		"Budget":       func(c *relay.Config) { c.Budget = -1 },
	} {
		c := good
		mod(&c)
		if _, err := relay.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
	}
}
