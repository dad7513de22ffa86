package endpoint_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/relay"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// verifier believes the unsigned tokens of package sbrptest.
type verifier struct{}

func (verifier) Verify(_ context.Context, raw string) (token.Claims, error) {
	var c struct {
		Role string `json:"role"`
		DID  string `json:"did"`
		SID  string `json:"sid"`
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return token.Claims{}, errors.New("not three parts")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return token.Claims{}, err
	}
	claims := token.Claims{DaemonID: c.DID, Subject: "test", Role: sbrp.RoleDaemon, Scopes: []string{token.ScopeSessionResume}, Expires: time.Now().Add(time.Hour)}
	if c.Role == "client" {
		claims.Role, claims.Scopes = sbrp.RoleClient, []string{token.ScopeSessionCreate}
		claims.SessionID, err = sbrp.ParseSessionID(c.SID)
	}
	return claims, err
}

// genuine is a daemon at the project's own relay, over loopback.
type genuine struct {
	t        testing.TB
	url      string
	handler  atomic.Pointer[relay.Server]
	end      func() // of the present relay
	identity *e2ee.Identity
	daemon   *endpoint.Daemon
	accepted chan *endpoint.Session
	away     atomic.Bool // the daemon's network is gone
	stop     func() error

	mu    sync.Mutex
	conns []net.Conn // guarded by mu; the daemon's
}

func startGenuine(t testing.TB, cfg relay.Config) *genuine {
	g := &genuine{t: t, identity: e2ee.GenerateIdentity(), accepted: make(chan *endpoint.Session, 64)}
	g.newRelay(cfg)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.handler.Load().ServeHTTP(w, r)
	}))
	server.Listener = wsconn.NewListener(server.Listener)
	server.Start()
	g.url = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(func() { g.end() })
	g.stop = g.newDaemon(g.identity)
	t.Cleanup(func() { _ = g.stop() })
	g.online()
	return g
}

// newRelay starts a relay that knows nothing, in the place of the one before.
func (g *genuine) newRelay(cfg relay.Config) {
	cfg.Verifier = verifier{}
	srv, err := relay.New(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	g.handler.Store(srv)
	g.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			g.t.Errorf("relay's Run: %v", err)
		}
	})
}

func (g *genuine) newDaemon(id *e2ee.Identity) (stop func() error) {
	d, err := endpoint.NewDaemon(endpoint.DaemonConfig{
		Identity: id,
		Connect: func(context.Context) (endpoint.Presence, error) {
			return endpoint.Presence{URL: g.url, Token: sbrptest.DaemonToken(daemonID, 1), DaemonID: daemonID, Expires: time.Now().Add(time.Hour)}, nil
		},
		Accept: func(s *endpoint.Session) {
			g.accepted <- s
			<-s.Done()
		},
		Dial: wsconn.DialOptions{NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if g.away.Load() {
				return nil, errors.New("network is unreachable")
			}
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				g.mu.Lock()
				g.conns = append(g.conns, c)
				g.mu.Unlock()
			}
			return c, err
		}},
		Backoff: endpoint.Backoff{Max: endpoint.DefaultBackoffMin}, // the tests cut more often than the world
		Logger:  logger(g.t),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.daemon = d
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// online waits until the daemon is.
func (g *genuine) online() {
	g.t.Helper()
	g.until("the daemon to come online", func() bool { return g.handler.Load().Online(daemonID) })
}

// until polls, because the real relay tells nobody.
func (g *genuine) until(what string, f func() bool) {
	g.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); !f(); <-tick.C {
		if time.Now().After(limit) {
			g.t.Fatalf("waited too long for %s", what)
		}
	}
}

// cut breaks the daemon's connections.
func (g *genuine) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func (g *genuine) dial() *ends {
	g.t.Helper()
	c, err := endpoint.DialSession(g.t.Context(), endpoint.ClientConfig{
		URL:      g.url,
		Token:    sbrptest.ClientToken(daemonID, sbrp.NewSessionID()),
		DaemonID: daemonID,
		Expected: g.identity.PublicKey(),
		Logger:   logger(g.t),
	})
	if err != nil {
		g.t.Fatalf("DialSession: %v", err)
	}
	return &ends{t: g.t, client: pump(g.t, c), daemon: pump(g.t, <-g.accepted), id: c.ID()}
}

func TestRealRelayTalk(t *testing.T) {
	g := startGenuine(t, relay.Config{})
	x, y := g.dial(), g.dial()
	x.talk("x")
	y.talk("y")
	text := strings.Repeat("b", sbrp.MaxPlaintext)
	for range 100 {
		x.client.send(text)
		x.daemon.send(text)
	}
	for range 100 {
		x.client.want(text)
		x.daemon.want(text)
	}
	_ = x.client.Close("")
	x.daemon.wantCode(sbrp.CodeSessionEnded)
	_ = y.daemon.Close("")
	y.client.wantCode(sbrp.CodeSessionExpired)
}

// Same keys again, as often as the daemon's path breaks.
func TestRealRelayResume(t *testing.T) {
	g := startGenuine(t, relay.Config{})
	var all []*ends
	for range 5 {
		all = append(all, g.dial())
	}
	for i := range uint32(10) {
		g.cut()
		for _, x := range all {
			x.client.wantPath(true, i+1)
			x.daemon.wantPath(true, i+1)
			x.talk("again")
		}
	}
	if s := g.daemon.Stats(); s.Handshakes != 5 || s.Losses != 10 {
		t.Errorf("Stats = %+v, want 5 handshakes, 10 losses", s)
	}
}

// The daemon stays away beyond the grace.
func TestRealRelayGrace(t *testing.T) {
	g := startGenuine(t, relay.Config{Grace: 50 * time.Millisecond})
	x := g.dial()
	g.away.Store(true)
	g.cut()
	x.client.wantPath(false, 0)
	x.client.wantCode(sbrp.CodeSessionExpired)
	g.away.Store(false)
	g.daemon.Kick()
	x.daemon.wantCode(sbrp.CodeSessionEnded) // the answer to its Signal(ready)
	g.dial().talk("new session")
}

// The client leaves while the daemon is away.
func TestRealRelayClientLeaves(t *testing.T) {
	g := startGenuine(t, relay.Config{})
	x, y := g.dial(), g.dial()
	g.away.Store(true)
	g.cut()
	x.client.wantPath(false, 0)
	y.client.wantPath(false, 0)
	_ = x.client.Close("")
	g.away.Store(false)
	g.daemon.Kick()
	x.daemon.wantCode(sbrp.CodeSessionEnded)
	y.client.wantPath(true, 1)
	y.talk("the other goes on")
}

// The relay goes down and another comes up in its place.
func TestRealRelayRestart(t *testing.T) {
	g := startGenuine(t, relay.Config{})
	x := g.dial()
	g.end()
	x.client.wantEnd()
	g.newRelay(relay.Config{})
	g.online()
	x.daemon.wantCode(sbrp.CodeSessionEnded)
	g.dial().talk("with the new relay")
}

// The daemon is replaced by a process without state.
func TestRealRelayDaemonRestart(t *testing.T) {
	g := startGenuine(t, relay.Config{})
	x := g.dial()
	g.away.Store(true)
	g.cut()
	x.client.wantPath(false, 0)
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	g.away.Store(false)
	g.stop = g.newDaemon(g.identity)
	x.client.wantCode(sbrp.CodeSessionExpired)
	g.dial().talk("with the new process")
}

// Shutdown tells every client.
func TestRealRelayShutdown(t *testing.T) {
	g := startGenuine(t, relay.Config{})
	x, y := g.dial(), g.dial()
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	x.client.wantCode(sbrp.CodeSessionExpired)
	y.client.wantCode(sbrp.CodeSessionExpired)
	g.until("the daemon to go", func() bool { return !g.handler.Load().Online(daemonID) })
	_, err := endpoint.DialSession(t.Context(), endpoint.ClientConfig{
		URL: g.url, Token: sbrptest.ClientToken(daemonID, sbrp.NewSessionID()), DaemonID: daemonID, Expected: g.identity.PublicKey(),
	})
	if !isCode(sbrp.CodeDaemonOffline)(err) {
		t.Errorf("DialSession = %v, want daemon_offline", err)
	}
}

// One stream of full frames from a client through the relay to the daemon, in one
// process: endpoint, cipher, WebSocket and relay together.
func BenchmarkThroughRelay(b *testing.B) {
	for _, way := range []string{"up", "down"} {
		b.Run(way, func(b *testing.B) {
			g := startGenuine(b, relay.Config{Logger: slog.New(slog.DiscardHandler)})
			c, err := endpoint.DialSession(b.Context(), endpoint.ClientConfig{
				URL: g.url, Token: sbrptest.ClientToken(daemonID, sbrp.NewSessionID()), DaemonID: daemonID, Expected: g.identity.PublicKey(),
			})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close("")
			from, to := c, <-g.accepted
			if way == "down" {
				from, to = to, from
			}
			const size = 60_000
			// A client that is sent more than it reads is ended by the relay, so let no
			// more than this be on the way.
			credit := make(chan struct{}, 32)
			received := make(chan error, 1)
			go func() {
				buf := make([]byte, sbrp.MaxFrame+1)
				for range b.N {
					if _, err := to.Receive(buf); err != nil {
						received <- err
						return
					}
					<-credit
				}
				received <- nil
			}()
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			buf := make([]byte, 25+size, 25+size+16)
			for range b.N {
				credit <- struct{}{}
				if err := from.Send(buf); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-received; err != nil {
				b.Fatal(err)
			}
		})
	}
}
