package control_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/control"
	"culvert/sbrp/token"
)

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time          { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) forward(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// plane is a control plane behind a real listener.
type plane struct {
	*clock
	t      *testing.T
	store  *control.Store
	server *control.Server
	url    string
	http   *http.Client
	admin  string // an admin key's secret
	online map[string]bool
	log    *lockedBuffer

	mu   sync.Mutex
	from netip.Addr // where requests seem to come from
}

const relayURL = "wss://relay.example.org/relay"

func newPlane(t *testing.T, change ...func(*control.Config)) *plane {
	t.Helper()
	return newPlaneOn(t, openStore(t, filepath.Join(t.TempDir(), "control.db")), change...)
}

func newPlaneOn(t *testing.T, store *control.Store, change ...func(*control.Config)) *plane {
	t.Helper()
	p := &plane{clock: newClock(), t: t, online: map[string]bool{}, log: new(lockedBuffer), from: netip.MustParseAddr("192.0.2.1")}
	p.store = store
	p.store.SetNow(p.now)
	srv := httptest.NewUnstartedServer(nil)
	p.url = "http://" + srv.Listener.Addr().String()
	cfg := control.Config{
		Store: p.store, PublicURL: p.url, Now: p.now,
		RelayURL:   func() string { return relayURL },
		Online:     func(id string) bool { return p.online[id] },
		RemoteAddr: func(*http.Request) netip.Addr { p.mu.Lock(); defer p.mu.Unlock(); return p.from },
		Logger:     slog.New(slog.NewTextHandler(p.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if p.server, err = control.New(cfg); err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = p.server.Handler()
	srv.Start()
	t.Cleanup(srv.Close)
	p.http = srv.Client()
	p.admin = p.key(api.ScopeAdmin)
	return p
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func (p *plane) logged() string { return p.log.String() }

func openStore(t *testing.T, path string) *control.Store {
	t.Helper()
	s, err := control.OpenStore(t.Context(), dsnOf(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (p *plane) comeFrom(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = netip.MustParseAddr(addr)
}

// key makes an API key of the default account.
func (p *plane) key(scopes ...string) string { p.t.Helper(); return p.keyOf("", scopes...) }

func (p *plane) keyOf(account string, scopes ...string) string {
	p.t.Helper()
	_, secret, err := p.store.CreateKey(p.t.Context(), control.KeySpec{Name: "test", Account: account, Scopes: scopes})
	if err != nil {
		p.t.Fatal(err)
	}
	return secret
}

// device is a device key and a client that signs with it.
type device struct {
	*api.Client
	priv ed25519.PrivateKey
	key  sbrp.PublicKey
}

func newDevice(t *testing.T, p *plane) *device {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := api.NewClient(api.Config{BaseURL: p.url, Key: priv, HTTP: p.http, Now: p.now})
	if err != nil {
		t.Fatal(err)
	}
	return &device{Client: c, priv: priv, key: sbrp.PublicKey(pub)}
}

// enrolled is a device that is enrolled with a new key of those scopes.
func (p *plane) enrolled(scopes ...string) *device { p.t.Helper(); return p.enrolledIn("", scopes...) }

func (p *plane) enrolledIn(account string, scopes ...string) *device {
	p.t.Helper()
	d := newDevice(p.t, p)
	if _, err := d.Enroll(p.t.Context(), api.EnrollRequest{APIKey: p.keyOf(account, scopes...), Name: "box"}); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// daemon is an enrolled device that has registered a daemon.
func (p *plane) daemon(name string) (*device, string) { p.t.Helper(); return p.daemonIn("", name) }

func (p *plane) daemonIn(account, name string) (*device, string) {
	p.t.Helper()
	d := p.enrolledIn(account, api.ScopeDaemon)
	r, err := d.Register(p.t.Context(), api.RegisterRequest{IdentityPublicKey: d.key, Name: name})
	if err != nil {
		p.t.Fatal(err)
	}
	return d, r.DaemonID
}

// verify checks a relay token as a relay in the same process does.
func (p *plane) verify(raw string) token.Claims {
	p.t.Helper()
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: p.server.Issuer(), Keys: p.server.Keys(), Now: p.now})
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := v.Verify(p.t.Context(), raw)
	if err != nil {
		p.t.Fatalf("relay token: %v", err)
	}
	return c
}

func wantCode(t *testing.T, err error, status int, code string) {
	t.Helper()
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Status != status || e.Code != code {
		t.Errorf("got %v, want %d %s", err, status, code)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a raw answer.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	var e api.ErrorBody
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Message == "" {
		t.Errorf("error body %q: %v", a.body, err)
	}
	return e.Code
}

func (p *plane) send(method, path, bearer, body string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	must(p.t, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return p.do(req)
}

func (p *plane) do(req *http.Request) answer {
	p.t.Helper()
	resp, err := p.http.Do(req)
	must(p.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(p.t, err)
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// sign makes a device token.
func (p *plane) sign(d *device) string {
	p.t.Helper()
	raw, err := api.SignDeviceToken(d.priv, p.url, p.now())
	must(p.t, err)
	return raw
}

func (p *plane) ctx() context.Context { return p.t.Context() }
