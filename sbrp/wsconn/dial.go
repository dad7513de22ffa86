package wsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
)

// DefaultDialTimeout bounds a whole dial: name, proxy, TCP, TLS and the WebSocket request.
const DefaultDialTimeout = 20 * time.Second

// DialOptions are the options of Dial. The zero value dials directly, without a token, and trusts the system's roots.
type DialOptions struct {
	Token        string                                // sent as Authorization: Bearer, and nowhere else; empty means none
	TLS          *tls.Config                           // nil means the system's roots; never changed
	Proxy        func(*http.Request) (*url.URL, error) // as in http.Transport; nil means no proxy
	UserAgent    string                                // empty means "culvert"
	Timeout      time.Duration                         // of the whole dial; 0 means DefaultDialTimeout
	WriteTimeout time.Duration                         // of one write afterwards; 0 means DefaultWriteTimeout

	// NetDial makes the TCP connection, to the relay or to the proxy; nil means net.Dialer.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial opens a WebSocket to a relay. rawURL has the scheme ws, wss, http or https. Redirects are not followed. All errors are a
// *DialError. ctx and o.Timeout bound the dial and not the connection.
func Dial(ctx context.Context, rawURL string, o DialOptions) (*Conn, error) {
	t, err := newTarget(rawURL, o)
	if err != nil {
		return nil, err
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = DefaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	trip := &roundTripper{target: t, options: o}
	header := http.Header{"User-Agent": {o.UserAgent}}
	if o.UserAgent == "" {
		header.Set("User-Agent", "culvert")
	}
	if o.Token != "" {
		header.Set("Authorization", "Bearer "+o.Token)
	}
	ws, resp, err := websocket.Dial(ctx, t.url.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     trip,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:      header,
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			trip.out.setPong(payload)
			return false
		},
	})
	if err != nil {
		return nil, t.dialError(err, resp)
	}
	return newConn(ws, trip.out, true), nil
}

// target is the address of a dial.
type target struct {
	url  *url.URL // scheme http or https
	host string   // host:port
}

// newTarget checks the URL and the token. Its errors hold neither credentials nor a query.
func newTarget(rawURL string, o DialOptions) (*target, error) {
	fail := func(address, format string, args ...any) (*target, error) {
		return nil, &DialError{Hop: HopURL, Address: address, Err: fmt.Errorf(format, args...)}
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return fail("(unknown)", "not a URL") // url.Error would print it, token and all
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return fail(u.Host, "scheme %q: use wss://, or ws:// for a relay without TLS", cut(u.Scheme))
	}
	if u.Hostname() == "" {
		return fail("(unknown)", "no host in the URL")
	}
	if u.User != nil {
		return fail(u.Host, "user and password in the URL: a relay wants a token")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.Fragment = ""
	for _, r := range o.Token {
		if r <= ' ' || r > '~' {
			return fail(u.Host, "the token holds a character that a header cannot carry")
		}
	}
	return &target{url: u, host: net.JoinHostPort(u.Hostname(), port)}, nil
}

// dialError makes a *DialError of what the library returned: ours if it is in there, else the server's answer was no proper
// upgrade.
func (t *target) dialError(err error, resp *http.Response) error {
	if de, ok := errors.AsType[*DialError](err); ok {
		return de
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // without the URL, whose query may hold a secret
	}
	de := &DialError{Hop: HopHTTP, Address: t.host, Err: err}
	if resp != nil {
		de.Status = resp.StatusCode
		de.Err = fmt.Errorf("%w: %w", ErrNotWebSocket, err)
	}
	return de
}

// cut shortens a peer's or a user's word for an error.
func cut(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return s
}
