package api_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
)

var deviceKey = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))

func client(t *testing.T, url string, h *http.Client) *api.Client {
	t.Helper()
	c, err := api.NewClient(api.Config{BaseURL: url, Key: deviceKey, HTTP: h, UserAgent: "culvert/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve answers everything with one handler.
func serve(t *testing.T, h http.HandlerFunc) (*api.Client, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return client(t, srv.URL, srv.Client()), srv
}

func say(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestClientAnswers(t *testing.T) {
	const js = "application/json"
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int
		code    string // empty: good
	}{
		{"good", say(200, js, `[]`), 0, ""},
		{"good with charset and new fields", say(200, js+"; charset=utf-8", `[{"id":"d","name":"n","status":"online","new":1}]`), 0, ""},
		{"refusal", say(403, js, `{"code":"forbidden","message":"no"}`), 403, "forbidden"},
		{"newer code", say(418, js, `{"code":"teapot"}`), 418, "teapot"},
		{"HTML in place of a page", say(200, "text/html", `<html>log in to the hotel</html>`), 200, "unexpected_response"},
		{"JSON said to be text", say(200, "text/plain", `[]`), 200, "unexpected_response"},
		{"HTML error", say(502, "text/html", `<html>`), 502, "unexpected_response"},
		{"error without code", say(500, js, `{}`), 500, "unexpected_response"},
		{"error with text for code", say(500, js, `{"code":"\u001b[2J BUY","message":"x"}`), 500, "unexpected_response"},
		{"error with a long code", say(500, js, `{"code":"`+strings.Repeat("a", 65)+`"}`), 500, "unexpected_response"},
		{"wrong shape", say(200, js, `{"daemons":[]}`), 200, "unexpected_response"},
		{"bad key inside", say(200, js, `[{"id":"d","identityPublicKey":"AA"}]`), 200, "unexpected_response"},
		{"nothing", say(200, js, ``), 200, "unexpected_response"},
		{"cut", say(200, js, `[{"id":`), 200, "unexpected_response"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", js)
			for chunk := []byte(strings.Repeat(" ", 64<<10)); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, 200, "unexpected_response"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := serve(t, tc.handler)
			_, err := c.Daemons(t.Context())
			if tc.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*api.Error](err)
			if !ok || e.Status != tc.status || e.Code != tc.code || !errors.Is(err, &api.Error{Code: tc.code}) {
				t.Errorf("got %v, want %d %s", err, tc.status, tc.code)
			}
			if strings.ContainsAny(err.Error(), "\x1b<") {
				t.Errorf("the peer's text comes through: %q", err.Error())
			}
		})
	}
}

func TestClientErrorText(t *testing.T) {
	c, _ := serve(t, say(400, "application/json", `{"code":"invalid_request","message":"`+strings.Repeat("\\u001b[2Jx", 200)+`"}`))
	_, err := c.Daemons(t.Context())
	if s := err.Error(); strings.Contains(s, "\x1b") || len(s) > 1000 || !strings.Contains(s, "invalid_request (400)") {
		t.Errorf("%d bytes: %.100q", len(s), s)
	}
}

func TestClientRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second, "": 0, "-1": 0, "0": 0, "x": 0, "1.5": 0,
		"999999999": time.Hour, "99999999999999999999": 0, "Wed, 21 Oct 2026 07:28:00 GMT": 0,
	} {
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", header)
			say(429, "application/json", `{"code":"rate_limited","message":"slow"}`)(w, r)
		})
		_, err := c.Daemons(t.Context())
		if e, ok := errors.AsType[*api.Error](err); !ok || e.RetryAfter != want {
			t.Errorf("%q: %v, want %s", header, err, want)
		}
	}
}

// Neither an API key nor a device token goes to another place.
func TestClientRedirects(t *testing.T) {
	var got []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.URL.Path) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL+"/steal", status) })
		_, err := c.Enroll(t.Context(), api.EnrollRequest{APIKey: "cvk_a_b"})
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeRedirected || e.Status != status || !strings.Contains(e.Message, elsewhere.URL) {
			t.Errorf("%d: %v", status, err)
		}
		_, err = c.Keys(t.Context(), "cvk_a_b")
		if !errors.Is(err, &api.Error{Code: api.CodeRedirected}) {
			t.Errorf("%d, GET: %v", status, err)
		}
	}
	if len(got) > 0 {
		t.Errorf("the other host was asked for %v", got)
	}
	// Within the origin it goes on, but not for ever, and never as another method.
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.PathDaemons {
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
			return
		}
		say(200, "application/json", `[]`)(w, r)
	})
	if _, err := c.Daemons(t.Context()); err != nil {
		t.Errorf("same origin: %v", err)
	}
	c, _ = serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) })
	for _, call := range []func() error{
		func() error { _, err := c.Daemons(t.Context()); return err },
		func() error { _, err := c.CreateSession(t.Context(), "d"); return err },
	} {
		if err := call(); !errors.Is(err, &api.Error{Code: api.CodeRedirected}) {
			t.Errorf("loop: %v", err)
		}
	}
}

// Trouble on the way stays visible to errors.As, and tells neither path nor key.
func TestClientTransport(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close() // now nobody listens there
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := client(t, "http://"+ln.Addr().String(), &http.Client{Transport: tr})
	err = c.CancelPairing(t.Context(), api.Lookup([]byte("geheimgeheimgehe")))
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("%v holds no *net.OpError", err)
	}
	text, _ := api.Lookup([]byte("geheimgeheimgehe")).MarshalText()
	if strings.Contains(err.Error(), string(text)) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("error text: %v", err)
	}

	srv := httptest.NewUnstartedServer(say(200, "application/json", `[]`))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	_, err = client(t, srv.URL, &http.Client{Transport: tr}).Daemons(t.Context())
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("%v holds no x509.UnknownAuthorityError", err)
	}
	if _, err := client(t, srv.URL, srv.Client()).Daemons(t.Context()); err != nil {
		t.Errorf("with its CA: %v", err)
	}
}

type hang struct{}

func (hang) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func TestClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, "https://relay.example.org", &http.Client{Transport: hang{}})
		start := time.Now()
		_, err := c.Daemons(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Daemons(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestClientCredentials(t *testing.T) {
	type seen struct{ auth, agent, body, method, path string }
	var last seen
	c, srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		last = seen{r.Header.Get("Authorization"), r.UserAgent(), string(b), r.Method, r.URL.Path}
		say(200, "application/json", `{}`)(w, r)
	})
	ctx := t.Context()
	tokens := map[string]bool{}
	for range 3 {
		if _, err := c.CreateSession(ctx, "d1"); err != nil {
			t.Fatal(err)
		}
		tokens[last.auth] = true
	}
	if len(tokens) != 3 {
		t.Error("a device token was sent twice")
	}
	if last.agent != "culvert/test" || last.body != `{"daemonId":"d1"}` || last.method != "POST" || last.path != "/api/sessions" || !strings.HasPrefix(last.auth, "Bearer ey") {
		t.Errorf("sent %+v", last)
	}
	// An admin's key is the whole credential; spaces around it (a file's line end) go.
	if _, err := c.RevokeKey(ctx, " cvk_a_b\n", "../x"); err != nil {
		t.Fatal(err)
	}
	if last.auth != "Bearer cvk_a_b" || last.method != "DELETE" || last.path != "/api/keys/../x" {
		t.Errorf("sent %+v", last)
	}
	for _, bad := range []string{"", "  ", "cvk_a\nX-Evil: 1", "cvk_ü"} {
		_, err := c.Keys(ctx, bad)
		if err == nil || len(bad) > 2 && strings.Contains(err.Error(), bad) {
			t.Errorf("admin key %q: %v", bad, err)
		}
	}
	// Without a device key: registration by API key goes unsigned, the rest does not go.
	anyone, err := api.NewClient(api.Config{BaseURL: srv.URL, HTTP: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anyone.Register(ctx, api.RegisterRequest{APIKey: "cvk_a_b", IdentityPublicKey: sbrp.PublicKey{1}}); err != nil || last.auth != "" {
		t.Errorf("unsigned registration: %v, %+v", err, last)
	}
	last = seen{}
	if _, err := anyone.Daemons(ctx); err == nil || last.method != "" {
		t.Errorf("without device key: %v", err)
	}
	if _, err := anyone.Register(ctx, api.RegisterRequest{}); err == nil || last.method != "" {
		t.Errorf("without device key and API key: %v", err)
	}
	for _, ttl := range []time.Duration{-1, time.Millisecond, api.MaxPairingTTL + 1} {
		if _, err := c.CreatePairing(ctx, api.PairingRequest{TTL: ttl}); err == nil {
			t.Errorf("TTL %s was sent", ttl)
		}
	}
}

type foreignKey struct{ crypto.Signer }

func TestNewClientRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]api.Config{
		"no URL": {Key: deviceKey},
		"path":   {BaseURL: "https://a.example/x", Key: deviceKey},
		"P-256":  {BaseURL: "https://a.example", Key: ec},
	} {
		if _, err := api.NewClient(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := api.NewClient(api.Config{BaseURL: "https://a.example", Key: foreignKey{deviceKey}}); err != nil {
		t.Errorf("a signer that wraps an Ed25519 key: %v", err)
	}
	if _, err := api.SignDeviceToken(nil, "https://a.example", time.Now()); err == nil {
		t.Error("signed without a key")
	}
}
