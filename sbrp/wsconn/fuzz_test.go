package wsconn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// scripted is a connection on which the peer says what stands in a script, and never more.
type scripted struct {
	in      *bytes.Reader
	wrote   bytes.Buffer
	prepare func(asked []byte) // called before the first read with what was written till then
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.prepare != nil {
		s.prepare(s.wrote.Bytes())
		s.prepare = nil
	}
	return s.in.Read(p)
}
func (s *scripted) Write(p []byte) (int, error)      { return s.wrote.Write(p) }
func (s *scripted) Close() error                     { return nil }
func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// acceptKey is what RFC 6455, section 4.2.2 makes of a client's key.
func acceptKey(request []byte) string {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		return ""
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// wire makes one WebSocket frame; mask is zero, as the payload is then seen in a corpus.
func wire(first byte, payload string, masked bool) []byte {
	b := []byte{first, byte(len(payload))}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}

const upgradeAnswer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n"

// FuzzDial dials a relay, perhaps behind a proxy, where anything answers; ACCEPT in the answer becomes the right key. No error
// shows the token, none is without its hop, none is endless; and what comes after an upgrade is messages until it is an end.
func FuzzDial(f *testing.F) {
	f.Add([]byte(upgradeAnswer+string(wire(0x82, "frame", false))+string(wire(0x89, "ping", false))+string(wire(0x88, "\x03\xe8bye", false))), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"+upgradeAnswer+string(wire(0x81, "text", false))), true)
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"+upgradeAnswer), false)
	f.Add([]byte("HTTP/1.1 407 No\r\nRetry-After: 7\r\n\r\n"), true)
	f.Add([]byte("HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n{\"code\":\"unauthorized\",\"message\":\"no\"}"), false)
	f.Add([]byte("HTTP/1.1 302 Found\r\nContent-Type: text/html\r\nLocation: http://portal/\r\n\r\n<html>"), false)
	f.Add([]byte("HTTP/1.1 101 X\r\nbad header line\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, answer []byte, viaProxy bool) {
		conn := &scripted{in: bytes.NewReader(answer)}
		conn.prepare = func(asked []byte) {
			if !viaProxy {
				conn.in.Reset(bytes.Replace(answer, []byte("ACCEPT"), []byte(acceptKey(asked)), 1))
			}
		}
		o := wsconn.DialOptions{Token: secret, NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		if viaProxy {
			o.Proxy = func(*http.Request) (*url.URL, error) {
				return url.Parse("http://user:" + secret + "@proxy.example.org")
			}
		}
		c, err := wsconn.Dial(t.Context(), "ws://relay.example.org/relay?token="+secret, o)
		if err != nil {
			de, ok := errors.AsType[*wsconn.DialError](err)
			if !ok || de.Hop == "" || de.RetryAfter < 0 || de.RetryAfter > time.Hour || len(err.Error()) > 1000 {
				t.Errorf("%.200q: %T of %d bytes: %.1000v", answer, err, len(err.Error()), err)
			}
			if strings.Contains(err.Error(), secret) && !bytes.Contains(answer, []byte(secret)) {
				t.Errorf("the error shows a secret: %v", err)
			}
			return
		}
		defer c.CloseNow()
		readAll(t, c)
	})
}

// FuzzAccept gives a server a request, and then what a client says on the connection: either it is refused with a status, or
// it is messages until it is an end.
func FuzzAccept(f *testing.F) {
	const request = "GET /relay?token=q HTTP/1.1\r\nHost: r\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer a.b.c\r\n\r\n"
	f.Add([]byte(request + string(wire(0x82, "frame", true)) + string(wire(0x88, "\x03\xe8bye", true))))
	f.Add([]byte(request + string(wire(0x02, "fra", true)) + string(wire(0x8a, "pong", true)) + string(wire(0x80, "me", true))))
	f.Add([]byte(request + string(wire(0x82, "not masked", false))))
	f.Add([]byte(request + "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte(strings.Replace(request, "13", "12", 1)))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: r\r\nAuthorization: Basic eDp5\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		br := bufio.NewReader(bytes.NewReader(stream))
		r, err := http.ReadRequest(br)
		if err != nil {
			return // net/http refuses it
		}
		if token := wsconn.RequestToken(r); strings.ContainsAny(token, "\r\n") && !strings.Contains(r.URL.RawQuery, "%") {
			t.Errorf("the token %q holds a line end", token)
		}
		rec := &hijackable{ResponseRecorder: httptest.NewRecorder(), br: br}
		c, err := wsconn.Accept(rec, r, wsconn.AcceptOptions{})
		if err != nil {
			if rec.hijacked == nil && (rec.Code < 400 || rec.Code > 499) {
				t.Errorf("refused with status %d: %v", rec.Code, err)
			}
			return
		}
		defer c.CloseNow()
		readAll(t, c)
	})
}

// hijackable is an answer whose connection can be had.
type hijackable struct {
	*httptest.ResponseRecorder
	br       *bufio.Reader
	hijacked *scripted
}

// Hijack implements http.Hijacker. What br has not read comes from the connection.
func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = &scripted{in: bytes.NewReader(nil)}
	return h.hijacked, bufio.NewReadWriter(h.br, bufio.NewWriter(h.hijacked)), nil
}

// readAll reads until the connection is over, which it is when the script is.
func readAll(t *testing.T, c *wsconn.Conn) {
	t.Helper()
	buf := make([]byte, sbrp.MaxFrame+1)
	for {
		n, err := c.Read(buf)
		switch {
		case err == nil && n <= sbrp.MaxFrame:
		case errors.Is(err, wsconn.ErrText), errors.Is(err, wsconn.ErrTooLarge) && n == len(buf):
			return // such a connection is to be closed
		case errors.Is(err, net.ErrClosed):
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes: %.1000v", len(err.Error()), err)
			}
			return
		default:
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
}
