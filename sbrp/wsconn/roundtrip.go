package wsconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxResponseHeader bounds the answer's header in bytes, as many as a browser would take.
	maxResponseHeader = 64 << 10
	// maxErrorBody bounds what is read of an answer that is no upgrade: {code, message} and no more.
	maxErrorBody = 4 << 10
)

// roundTripper makes the one request of a dial on a connection of its own. http.Transport would do, but it keeps the
// layers to itself: neither could the writes be gathered below TLS, nor would its errors say which hop it was.
type roundTripper struct {
	target  *target
	options DialOptions
	out     *outlet // after success
}

// RoundTrip implements http.RoundTripper. Every error is a *DialError.
func (rt *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	conn, err := rt.connect(ctx)
	if err != nil {
		return nil, err
	}
	resp, br, err := exchange(ctx, conn, req)
	if err != nil {
		_ = conn.Close() // the error of the request counts
		return nil, &DialError{Hop: HopHTTP, Address: rt.target.host, Err: err}
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer conn.Close()
		return nil, rt.refusal(resp)
	}
	timeout := rt.options.WriteTimeout
	if timeout <= 0 {
		timeout = DefaultWriteTimeout
	}
	rt.out = newOutlet(conn, true, timeout)
	resp.Body = &upgraded{outlet: rt.out, early: br}
	return resp, nil
}

// connect returns a connection to the relay, through a proxy and TLS where these are wanted.
func (rt *roundTripper) connect(ctx context.Context) (net.Conn, error) {
	sock, err := rt.connectTCP(ctx)
	if err != nil {
		return nil, err
	}
	if rt.target.url.Scheme != "https" {
		return sock, nil
	}
	conn, err := startTLS(ctx, sock, rt.options.TLS, rt.target.url.Hostname())
	if err != nil {
		return nil, &DialError{Hop: HopTLS, Address: rt.target.host, Err: err}
	}
	return conn, nil
}

// startTLS does the TLS handshake for host. It closes conn if that does not work.
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config, host string) (*tls.Conn, error) {
	if config == nil {
		config = &tls.Config{}
	} else {
		config = config.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}  // a WebSocket upgrade is an affair of HTTP/1.1
	config.DynamicRecordSizingDisabled = true // records go out together anyway
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error counts
		if rh, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			return nil, fmt.Errorf("no TLS on this port: %s", rh.Msg)
		}
		return nil, cause(ctx, err)
	}
	return t, nil
}

// exchange writes req and reads the header of the answer. ctx ends it.
func exchange(ctx context.Context, conn net.Conn, req *http.Request) (*http.Response, *bufio.Reader, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	resp, br, err := ask(conn, req)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, cause(ctx, err)
	}
	return resp, br, nil
}

func ask(conn net.Conn, req *http.Request) (*http.Response, *bufio.Reader, error) {
	// One write for the request: net/http writes it in pieces.
	bw := bufio.NewWriterSize(conn, 8<<10)
	if err := req.Write(bw); err != nil {
		return nil, nil, fmt.Errorf("write request: %w", err)
	}
	if err := bw.Flush(); err != nil {
		return nil, nil, fmt.Errorf("write request: %w", err)
	}
	limited := &io.LimitedReader{R: conn, N: maxResponseHeader}
	br := bufio.NewReader(limited)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		if limited.N <= 0 {
			return nil, nil, fmt.Errorf("header of the answer is larger than %d bytes", maxResponseHeader)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil, fmt.Errorf("read answer: connection closed: %w", io.ErrUnexpectedEOF)
		}
		return nil, nil, fmt.Errorf("read answer: %w", brief(err))
	}
	return resp, br, nil
}

// brief cuts an error that repeats what the peer has sent, as net/http's do.
func brief(err error) error {
	const most = 200
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return err
}

// cause puts the end of the context in place of the error that it provoked.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	// Some set the context's deadline on the connection, and then that one is noticed a moment sooner.
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}

// refusal reads what a server said that did not upgrade: our relay's JSON, or a page.
func (rt *roundTripper) refusal(resp *http.Response) error {
	de := &DialError{Hop: HopHTTP, Address: rt.target.host, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(media, "json"):
		var body struct{ Code, Message string }
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what has come must do
		if json.Unmarshal(b, &body) == nil {
			de.Code, de.Message = body.Code, body.Message
		}
	case resp.StatusCode == http.StatusNetworkAuthenticationRequired,
		media == "text/html" && resp.StatusCode < http.StatusBadRequest:
		de.Err = ErrCaptivePortal
		return de
	}
	if de.Code == "" && resp.StatusCode < http.StatusBadRequest {
		de.Err = ErrNotWebSocket
	}
	return de
}

// retryAfter reads the header in seconds; the form with a date is not used between our own parts.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return min(time.Duration(s)*time.Second, time.Hour)
}

// upgraded is the body of a 101 answer. Bytes that came with the header are read first.
type upgraded struct {
	*outlet
	early *bufio.Reader
}

// Read implements io.Reader.
func (u *upgraded) Read(p []byte) (int, error) {
	if u.early != nil {
		if n := u.early.Buffered(); n > 0 {
			return u.early.Read(p[:min(len(p), n)])
		}
		u.early = nil
	}
	return u.outlet.Read(p)
}
