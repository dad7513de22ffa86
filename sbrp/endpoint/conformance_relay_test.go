package endpoint_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// What an honest relay never does, seen from an endpoint.

// textRelay upgrades by hand and sends a text message. It counts the connections.
func textRelay(t *testing.T) (url string, n *atomic.Int32) {
	t.Helper()
	n = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		n.Add(1)
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		_, _ = io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
			base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n\x81\x02hi") // who has gone does not read it
		_ = rw.Flush()                   // the same
		_, _ = io.Copy(io.Discard, conn) // until the other end has closed
	}))
	t.Cleanup(server.Close)
	return server.URL, n
}

func textToClient(t *testing.T) {
	url, _ := textRelay(t)
	_, err := endpoint.DialSession(t.Context(), endpoint.ClientConfig{
		URL: url, Token: sbrptest.ClientToken(daemonID, 7), DaemonID: daemonID, Expected: e2ee.GenerateIdentity().PublicKey(), Logger: logger(t),
	})
	if !isCode(sbrp.CodeMalformedFrame)(err) {
		t.Errorf("DialSession = %v, want malformed_frame", err)
	}
}

// textToDaemon: the daemon comes back with a new WebSocket.
func textToDaemon(t *testing.T) {
	url, n := textRelay(t)
	lost := make(chan error, 100)
	d, err := endpoint.NewDaemon(endpoint.DaemonConfig{
		Identity: e2ee.GenerateIdentity(),
		Connect: func(context.Context) (endpoint.Presence, error) {
			return endpoint.Presence{URL: url, Token: sbrptest.DaemonToken(daemonID, 1), DaemonID: daemonID, Expires: time.Now().Add(time.Hour)}, nil
		},
		Accept: func(*endpoint.Session) {},
		OnState: func(s endpoint.DaemonState) {
			if !s.Online {
				lost <- s.Err
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	for range 2 {
		if err := <-lost; !isCode(sbrp.CodeMalformedFrame)(err) {
			t.Errorf("WebSocket given up with %v, want malformed_frame", err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n.Load() < 2 {
		t.Errorf("%d WebSockets", n.Load())
	}
}

// inject sends an endpoint a message of the relay's.
func (r *rig) inject(x *ends, to sbrp.Role, message []byte) {
	r.t.Helper()
	sent := false
	if to == sbrp.RoleClient {
		sent = r.relay.InjectClient(x.id, message)
	} else {
		sent = r.relay.InjectDaemon(daemonID, message)
	}
	if !sent {
		r.t.Fatalf("the %v has gone", to)
	}
}

// pongs: an endpoint answers each Ping with the same bytes.
func pongs(t *testing.T, role sbrp.Role) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		var got []string
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type == sbrp.FramePong && p.From == role {
				got = append(got, string(p.Frame.Payload))
			}
			return [][]byte{p.Message}
		})
		for n := range 9 {
			r.inject(x, role, sbrp.AppendPing(nil, []byte("12345678")[:n]))
			synctest.Wait()
			if len(got) != n+1 || got[n] != "12345678"[:n] {
				t.Fatalf("after a Ping of %d bytes: %q", n, got)
			}
		}
		r.inject(x, role, sbrp.AppendPong(nil, []byte("unasked")))
		synctest.Wait()
		if len(got) != 9 {
			t.Errorf("a Pong was answered: %q", got)
		}
		x.talk("afterwards")
	})
}

// shortControls: a client's WebSocket ends with such a message, a daemon's goes on.
func shortControls(t *testing.T, role sbrp.Role) {
	for _, payload := range [][]byte{nil, {0x03}} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			x := r.dial(nil)
			r.inject(x, role, sbrp.AppendFrame(nil, sbrp.FrameControl, 0, payload))
			if role == sbrp.RoleClient {
				x.client.wantCode(sbrp.CodeMalformedFrame)
				return
			}
			x.talk("afterwards")
			if n := r.daemon.Stats(); n.Losses != 0 || n.UnknownControls != 1 {
				t.Errorf("got %+v", n)
			}
		})
	}
}

// earlyRelay runs DialSession against a relay that sends messages in place of HandshakeAccept.
func earlyRelay(t *testing.T, change func(*endpoint.ClientConfig), messages ...func(id sbrp.SessionID) []byte) (s *endpoint.Session, err error) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type != sbrp.FrameHandshakeInit {
				return [][]byte{p.Message}
			}
			for _, m := range messages {
				r.relay.InjectClient(p.SessionID, m(p.SessionID))
			}
			return nil
		})
		c := r.client()
		c.HandshakeTimeout = time.Second
		if change != nil {
			change(&c)
		}
		s, err = endpoint.DialSession(t.Context(), c)
		if s != nil {
			_ = s.Close("")
		}
	})
	return s, err
}
