package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// openVerifier takes a token that is the JSON of some claims: what the relay does with claims is tested here, what makes a
// good token in package token.
type openVerifier struct{}

type openClaims struct {
	Role     sbrp.Role
	Daemon   string
	Session  uint64
	Scopes   []string
	Region   string
	Sessions int
}

func (openVerifier) Verify(_ context.Context, raw string) (token.Claims, error) {
	var c openClaims
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return token.Claims{}, &token.Error{Rule: token.RuleSignature, Detail: "not good"}
	}
	return token.Claims{
		Role: c.Role, DaemonID: c.Daemon, SessionID: sbrp.SessionID(c.Session), Scopes: c.Scopes, Region: c.Region, MaxSessions: c.Sessions,
	}, nil
}

func mint(c openClaims) string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func daemonToken(id string, scopes ...string) string {
	return mint(openClaims{Role: sbrp.RoleDaemon, Daemon: id, Scopes: scopes})
}

func clientToken(daemonID string, sid sbrp.SessionID) string {
	return mint(openClaims{Role: sbrp.RoleClient, Daemon: daemonID, Session: uint64(sid), Scopes: []string{token.ScopeSessionCreate}})
}

// rig is a relay on loopback.
type rig struct {
	t   testing.TB
	srv *relay.Server
	url string

	stop func() // ends the relay and waits for it; more than once does no harm
}

func newRig(t testing.TB, mod func(*relay.Config)) *rig {
	t.Helper()
	cfg := relay.Config{Verifier: openVerifier{}, Logger: slog.New(slog.DiscardHandler)}
	if mod != nil {
		mod(&cfg)
	}
	srv, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewUnstartedServer(srv)
	hs.Listener = wsconn.NewListener(hs.Listener)
	hs.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	r := &rig{t: t, srv: srv, url: strings.Replace(hs.URL, "http", "ws", 1)}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		hs.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// end is a scripted end of a WebSocket. A goroutine reads what comes.
type end struct {
	t    testing.TB
	conn *wsconn.Conn
	got  chan []byte
	err  error // after got is closed
}

func (r *rig) dial(tok string) *end {
	r.t.Helper()
	e, err := r.tryDial(tok)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) tryDial(tok string) (*end, error) {
	return dialWith(r.t, r.url, wsconn.DialOptions{Token: tok})
}

func dialWith(t testing.TB, url string, o wsconn.DialOptions) (*end, error) {
	conn, err := wsconn.Dial(context.Background(), url, o)
	if err != nil {
		return nil, err
	}
	e := &end{t: t, conn: conn, got: make(chan []byte, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(e.got)
		for {
			buf := make([]byte, sbrp.MaxFrame+1)
			n, err := conn.Read(buf)
			if err != nil {
				e.err = err
				return
			}
			e.got <- buf[:n]
		}
	}()
	t.Cleanup(func() {
		conn.CloseNow()
		for range e.got {
		}
		<-done
	})
	return e, nil
}

func (r *rig) daemon(id string, scopes ...string) *end {
	r.t.Helper()
	e := r.dial(daemonToken(id, scopes...))
	e.sync()
	return e
}

func (r *rig) client(daemonID string, sid sbrp.SessionID) *end {
	r.t.Helper()
	return r.dial(clientToken(daemonID, sid))
}

// session connects a client and brings it past its handshake.
func (r *rig) session(d *end, daemonID string, sid sbrp.SessionID) *end {
	r.t.Helper()
	c := r.client(daemonID, sid)
	shake(d, c, sid)
	return c
}

func shake(d, c *end, sid sbrp.SessionID) {
	d.t.Helper()
	init := initFrame(sid)
	c.send(init)
	d.want(init)
	accept := acceptFrame(sid)
	d.send(accept)
	c.want(accept)
}

func initFrame(sid sbrp.SessionID) []byte {
	return sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, sid, make([]byte, sbrp.InitSize))
}

func acceptFrame(sid sbrp.SessionID) []byte {
	return sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, sid, make([]byte, sbrp.AcceptSize))
}

func dataFrame(sid sbrp.SessionID, size int, seed byte) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i) ^ seed
	}
	return sbrp.AppendFrame(nil, sbrp.FrameData, sid, p)
}

func (e *end) send(frame []byte) {
	e.t.Helper()
	if err := e.conn.Write(frame); err != nil {
		e.t.Fatalf("send: %v", err)
	}
}

// sync returns when the relay has handled everything that was sent before.
func (e *end) sync() {
	e.t.Helper()
	e.send(sbrp.AppendPing(nil, []byte("sync")))
	e.want(sbrp.AppendPong(nil, []byte("sync")))
}

const patience = 10 * time.Second

func (e *end) next() ([]byte, bool) {
	e.t.Helper()
	select {
	case b, ok := <-e.got:
		return b, ok
	case <-time.After(patience):
		e.t.Fatalf("nothing came for %v", patience)
		return nil, false
	}
}

func (e *end) want(frame []byte) {
	e.t.Helper()
	b, ok := e.next()
	if !ok {
		e.t.Fatalf("want %s, connection ended: %v", describe(frame), e.err)
	}
	if string(b) != string(frame) {
		e.t.Fatalf("got %s, want %s", describe(b), describe(frame))
	}
}

// wantControl returns the text.
func (e *end) wantControl(code sbrp.Code, id sbrp.SessionID) string {
	e.t.Helper()
	b, ok := e.next()
	if !ok {
		e.t.Fatalf("want Control %v, connection ended: %v", code, e.err)
	}
	f, err := sbrp.ParseFrame(b)
	if err != nil || f.Type != sbrp.FrameControl {
		e.t.Fatalf("want Control %v, got %s", code, describe(b))
	}
	c, text, err := sbrp.ParseControl(f.Payload)
	if err != nil || c != code || f.SessionID != id {
		e.t.Fatalf("want Control %v for %v, got %s", code, id, describe(b))
	}
	return text
}

// wantEnd expects the WebSocket close with this status.
func (e *end) wantEnd(status wsconn.StatusCode) {
	e.t.Helper()
	if b, ok := e.next(); ok {
		e.t.Fatalf("want the end, got %s", describe(b))
	}
	ce, ok := errors.AsType[*wsconn.CloseError](e.err)
	if !ok || ce.Code != status {
		e.t.Fatalf("want close with status %d, got %v", status, e.err)
	}
}

func (e *end) wantLast(code sbrp.Code, id sbrp.SessionID) {
	e.t.Helper()
	e.wantControl(code, id)
	if b, ok := e.next(); ok {
		e.t.Fatalf("after Control %v: got %s, want the end", code, describe(b))
	}
}

func (e *end) close() { e.conn.Close(wsconn.StatusNormal, "") }

func describe(b []byte) string {
	f, err := sbrp.ParseFrame(b)
	if err != nil {
		return err.Error()
	}
	s := f.Type.String() + " for " + f.SessionID.String()
	if f.Type == sbrp.FrameControl {
		if c, text, err := sbrp.ParseControl(f.Payload); err == nil {
			s += " " + c.String() + " " + sbrp.Quote(text)
		}
	}
	return s
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
