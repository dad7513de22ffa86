package wsconn_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

const secret = "s3cret-t0ken"

// failDial dials, expects a *DialError, and that nothing in it gives the secrets away.
func failDial(t *testing.T, ctx context.Context, url string, o wsconn.DialOptions) *wsconn.DialError {
	t.Helper()
	c, err := wsconn.Dial(ctx, url, o)
	if err == nil {
		c.CloseNow()
		t.Fatal("Dial: no error")
	}
	de, ok := errors.AsType[*wsconn.DialError](err)
	if !ok {
		t.Fatalf("got %T, want *DialError: %v", err, err)
	}
	for _, form := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		if strings.Contains(form, secret) {
			t.Errorf("the error holds a secret: %s", form)
		}
	}
	return de
}

// answer is a server that answers every connection with these bytes.
func answer(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			_, _ = c.Read(buf) // a request, or the beginning of TLS
			_, _ = io.WriteString(c, reply)
			_ = c.Close() // the dialler notices
		}
	}()
	t.Cleanup(func() {
		_ = l.Close() // ends the loop
		<-done
	})
	return l.Addr().String()
}

func TestDialErrorsOfHTTP(t *testing.T) {
	response := func(status, contentType, body string, more ...string) string {
		var h strings.Builder
		for _, m := range more {
			h.WriteString(m + "\r\n")
		}
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s", status, contentType, len(body), h.String(), body)
	}
	for _, tt := range []struct {
		name, reply string
		status      int
		code        string
		retry       time.Duration
		is          error
	}{
		{"401 of the relay", response("401 Unauthorized", "application/json", `{"code":"unauthorized","message":"exp"}`), 401, "unauthorized", 0, nil},
		{"409 of the relay", response("409 Conflict", "application/json; charset=utf-8", `{"code":"session_conflict"}`), 409, "session_conflict", 0, nil},
		{"429 with a wish", response("429 Too Many Requests", "application/json", `{"code":"rate_limited"}`, "Retry-After: 7"), 429, "rate_limited", 7 * time.Second, nil},
		{"503 of a proxy", response("503 Service Unavailable", "text/html", "<html>down"), 503, "", 0, nil},
		{"broken JSON", response("400 Bad Request", "application/json", `{"code":`), 400, "", 0, nil},
		{"code of a wrong type", response("400 Bad Request", "application/json", `{"code":7}`), 400, "", 0, nil},
		{"captive portal's page", response("200 OK", "text/html", "<html>log in"), 200, "", 0, wsconn.ErrCaptivePortal},
		{"captive portal's redirect", response("302 Found", "text/html", "", "Location: http://portal.test/"), 302, "", 0, wsconn.ErrCaptivePortal},
		{"captive portal that says so", response("511 Network Authentication Required", "text/html", ""), 511, "", 0, wsconn.ErrCaptivePortal},
		{"another service", response("200 OK", "text/plain", "hello"), 200, "", 0, wsconn.ErrNotWebSocket},
		{"redirect", response("307 Temporary Redirect", "text/plain", "", "Location: http://other.test/"), 307, "", 0, wsconn.ErrNotWebSocket},
		{"101 without the key", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 101, "", 0, wsconn.ErrNotWebSocket},
		{"101 to something else", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 101, "", 0, wsconn.ErrNotWebSocket},
		{"no HTTP", "SSH-2.0-OpenSSH_9.9\r\n", 0, "", 0, nil},
		{"nothing", "", 0, "", 0, io.ErrUnexpectedEOF},
		{"endless header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000), 0, "", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := answer(t, tt.reply)
			de := failDial(t, t.Context(), "ws://"+address+"/relay?token="+secret, wsconn.DialOptions{Token: secret})
			if de.Hop != wsconn.HopHTTP || de.Address != address || de.Status != tt.status || de.Code != tt.code || de.RetryAfter != tt.retry {
				t.Errorf("got hop %s, address %s, status %d, code %q, retry %v (%v)", de.Hop, de.Address, de.Status, de.Code, de.RetryAfter, de)
			}
			if tt.is != nil && !errors.Is(de, tt.is) {
				t.Errorf("got %v, want %v in it", de, tt.is)
			}
		})
	}
}

func TestDialErrorsByHop(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // what goes wrong here is meant to
	secure.StartTLS()
	defer secure.Close()
	noTLS := answer(t, "HTTP/1.0 400 Bad Request\r\n\r\n")
	noName := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "relay.test", IsNotFound: true}}
	}
	for _, tt := range []struct {
		name, url string
		o         wsconn.DialOptions
		hop       wsconn.Hop
		check     func(error) bool
	}{
		{"no URL", "://" + secret, wsconn.DialOptions{}, wsconn.HopURL, nil},
		{"control bytes", "ws://relay.test/\x7f" + secret, wsconn.DialOptions{}, wsconn.HopURL, nil},
		{"scheme", "ftp://relay.test", wsconn.DialOptions{}, wsconn.HopURL, nil},
		{"no host", "ws://", wsconn.DialOptions{}, wsconn.HopURL, nil},
		{"password in the URL", "ws://u:" + secret + "@relay.test", wsconn.DialOptions{}, wsconn.HopURL, nil},
		{"token with a line break", "ws://relay.test", wsconn.DialOptions{Token: secret + "\r\nX: y"}, wsconn.HopURL, nil},
		{"name", "ws://relay.test", wsconn.DialOptions{NetDial: noName}, wsconn.HopDNS, func(err error) bool {
			de, ok := errors.AsType[*net.DNSError](err)
			return ok && de.IsNotFound
		}},
		{"refused", "wss://" + nobody, wsconn.DialOptions{}, wsconn.HopTCP, func(err error) bool {
			_, ok := errors.AsType[*net.OpError](err)
			return ok
		}},
		{"unknown authority", strings.Replace(secure.URL, "https", "wss", 1), wsconn.DialOptions{}, wsconn.HopTLS, func(err error) bool {
			_, ok := errors.AsType[x509.UnknownAuthorityError](err)
			return ok
		}},
		{"no TLS there", "wss://" + noTLS, wsconn.DialOptions{}, wsconn.HopTLS, func(err error) bool {
			return strings.Contains(err.Error(), "no TLS on this port")
		}},
		{"TLS there, not wanted", strings.Replace(secure.URL, "https", "ws", 1), wsconn.DialOptions{}, wsconn.HopHTTP, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			de := failDial(t, t.Context(), tt.url, tt.o)
			if de.Hop != tt.hop {
				t.Errorf("hop %s, want %s: %v", de.Hop, tt.hop, de)
			}
			if tt.check != nil && !tt.check(de) {
				t.Errorf("the cause cannot be found: %v", de)
			}
		})
	}
}

// Whoever accepts and says nothing, in whatever phase, is given up in time and at once when the context ends.
func TestDialTimeouts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the backlog accepts; nobody else does
	mute := l.Addr().String()
	proxy := wsconn.DialOptions{Proxy: via("http://" + mute)}
	socks := wsconn.DialOptions{Proxy: via("socks5://" + mute)}
	for _, tt := range []struct {
		name, url string
		o         wsconn.DialOptions
		hop       wsconn.Hop
	}{
		{"http", "ws://" + mute, wsconn.DialOptions{}, wsconn.HopHTTP},
		{"tls", "wss://" + mute, wsconn.DialOptions{}, wsconn.HopTLS},
		{"proxy", "wss://relay.test", proxy, wsconn.HopProxy},
		{"socks", "wss://relay.test", socks, wsconn.HopProxy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.o
			o.Timeout = 50 * time.Millisecond
			if de := failDial(t, t.Context(), tt.url, o); de.Hop != tt.hop || !errors.Is(de, context.DeadlineExceeded) {
				t.Errorf("timeout: got %v", de)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(io.ErrClosedPipe) })
			o.Timeout = time.Minute
			if de := failDial(t, ctx, tt.url, o); de.Hop != tt.hop || !errors.Is(de, io.ErrClosedPipe) {
				t.Errorf("cancelled: got %v", de)
			}
		})
	}
}

// The end of the dial's context does not end the connection.
func TestDialContextIsForTheDialOnly(t *testing.T) {
	accepted := make(chan *wsconn.Conn, 1)
	ctx, cancel := context.WithCancel(t.Context())
	client, err := wsconn.Dial(ctx, serve(t, accepted, wsconn.AcceptOptions{}), wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseNow()
	server := <-accepted
	cancel()
	if err := client.Write(frame(1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, sbrp.MaxFrame+1)); err != nil {
		t.Fatal(err)
	}
}

func TestDialSendsTheTokenInTheHeaderOnly(t *testing.T) {
	requests := make(chan *http.Request, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.WriteHeader(http.StatusTeapot)
	}))
	defer srv.Close()
	failDial(t, t.Context(), srv.URL+"/relay", wsconn.DialOptions{Token: secret, UserAgent: "culvert/1.2"})
	r := <-requests
	if got := r.Header.Get("Authorization"); got != "Bearer "+secret {
		t.Errorf("Authorization %q", got)
	}
	if r.RequestURI != "/relay" || r.UserAgent() != "culvert/1.2" || r.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("request %s, header %v", r.RequestURI, r.Header)
	}
}

func TestDialWithACAAndAnyScheme(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	config, roots := srv.TLS, srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	srv.Close()
	accepted := make(chan *wsconn.Conn, 1)
	url := serveWith(t, accepted, wsconn.AcceptOptions{}, &tls.Config{Certificates: config.Certificates})
	mine := &tls.Config{RootCAs: roots}
	for _, u := range []string{url, strings.Replace(url, "wss", "https", 1)} {
		client, err := dial(t, u, wsconn.DialOptions{TLS: mine})
		if err != nil {
			t.Fatal(err)
		}
		server := <-accepted
		if err := client.Write(frame(70, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, sbrp.MaxFrame+1)); err != nil {
			t.Fatal(err)
		}
	}
	if mine.ServerName != "" || mine.NextProtos != nil {
		t.Error("the caller's TLS configuration was changed")
	}
}

func TestRequestToken(t *testing.T) {
	for _, tt := range []struct{ header, query, want string }{
		{"Bearer abc", "", "abc"},
		{"bearer  abc ", "", "abc"},
		{"Bearer abc", "token=def", "abc"},
		{"", "token=def", "def"},
		{"", "", ""},
		{"Basic abc", "token=def", ""}, // an odd header is no reason to look elsewhere
		{"Bearer", "token=def", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+tt.query, nil)
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		if got := wsconn.RequestToken(r); got != tt.want {
			t.Errorf("header %q, query %q: got %q, want %q", tt.header, tt.query, got, tt.want)
		}
	}
}
