package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
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
	Account  string
}

func (openVerifier) Verify(_ context.Context, raw string) (token.Claims, error) {
	var c openClaims
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return token.Claims{}, &token.Error{Rule: token.RuleSignature, Detail: "not good"}
	}
	return token.Claims{
		Role: c.Role, DaemonID: c.Daemon, SessionID: sbrp.SessionID(c.Session), Scopes: c.Scopes, Region: c.Region, MaxSessions: c.Sessions, Account: c.Account,
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

// rig is a relay and a way to reach it: loopback, or pipes in memory inside a synctest bubble.
type rig struct {
	t     testing.TB
	srv   *relay.Server
	url   string
	pipes *pipeListener // nil: loopback
	roots *x509.CertPool

	panics uint64 // that the test wanted
	fault  int    // for dialFaulty

	stopRelay func() // ends Run and waits for it; the HTTP server goes on
	stop      func() // ends both; more than once does no harm
}

func newRig(t testing.TB, mod func(*relay.Config)) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := t.(*testing.B); !ok {
		l = smallBuffers{l}
	}
	return startRig(t, mod, l, nil)
}

// smallBuffers gives the relay's sockets so little room that tests about slow peers need not move megabytes.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		err = errors.Join(tcp.SetWriteBuffer(64<<10), tcp.SetReadBuffer(64<<10))
	}
	return c, err
}

// bubble runs f on a fake clock. Connections are pipes; nothing on them waits but for the other end.
func bubble(t *testing.T, mod func(*relay.Config), f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		r := startRig(t, mod, l, l)
		f(t, r)
		r.stop()
	})
}

func startRig(t testing.TB, mod func(*relay.Config), l net.Listener, pipes *pipeListener) *rig {
	return startRigTLS(t, mod, l, pipes, nil, nil)
}

// newSecureRig is newRig with TLS.
func newSecureRig(t testing.TB, mod func(*relay.Config)) *rig {
	t.Helper()
	donor := httptest.NewTLSServer(nil) // of a certificate
	server := &tls.Config{Certificates: donor.TLS.Certificates}
	roots := donor.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	donor.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startRigTLS(t, mod, smallBuffers{l}, nil, server, roots)
}

func startRigTLS(t testing.TB, mod func(*relay.Config), l net.Listener, pipes *pipeListener, server *tls.Config, roots *x509.CertPool) *rig {
	cfg := relay.Config{Verifier: openVerifier{}, Logger: slog.New(slog.DiscardHandler)}
	if mod != nil {
		mod(&cfg)
	}
	srv, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: srv}
	served := make(chan error, 1)
	l = wsconn.NewListener(l)
	r := &rig{t: t, srv: srv, url: "ws://" + l.Addr().String(), pipes: pipes, roots: roots}
	if server != nil {
		l = tls.NewListener(l, server)
		r.url = "wss://" + l.Addr().String()
	}
	go func() { served <- hs.Serve(l) }()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	r.stopRelay = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	r.stop = sync.OnceFunc(func() {
		r.stopRelay()
		if err := hs.Close(); err != nil {
			t.Errorf("close server: %v", err)
		}
		<-served
		if n := srv.Stats(); n.Clients != 0 || n.Daemons != 0 || n.Paired+n.Paused+n.Pending != 0 || n.QueuedBytes != 0 || n.Panics != r.panics {
			t.Errorf("after Run: %+v", n)
		}
		// A request that was being upgraded when Run ended is its HTTP server's.
		eventually(t, "no slot and no crowd is left after Run", func() bool { return srv.Slots() == 0 && srv.Crowds() == 0 })
	})
	t.Cleanup(r.stop)
	return r
}

// pipeListener listens in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// end is a scripted end of a WebSocket. A goroutine reads what comes.
type end struct {
	t    testing.TB
	conn *wsconn.Conn
	net  net.Conn // below conn, for what a library would not send
	got  chan []byte
	err  error // after got is closed

	still bool // in a bubble
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
	return r.dialWith(wsconn.DialOptions{Token: tok})
}

// dialFaulty is dial for a connection whose n-th write fails half-way, the request counted.
func (r *rig) dialFaulty(tok string, n int) *end {
	r.t.Helper()
	r.fault = n
	defer func() { r.fault = 0 }()
	return r.dial(tok)
}

func (r *rig) dialWith(o wsconn.DialOptions) (*end, error) {
	var below net.Conn
	o.TLS = &tls.Config{RootCAs: r.roots}
	o.NetDial = func(ctx context.Context, network, address string) (c net.Conn, err error) {
		if r.pipes != nil {
			c, err = r.pipes.dial(ctx, network, address)
		} else {
			var d net.Dialer
			c, err = d.DialContext(ctx, network, address)
		}
		below = c
		if r.fault > 0 && err == nil {
			c = &faulty{c, r.fault}
		}
		return c, err
	}
	conn, err := wsconn.Dial(context.Background(), r.url, o)
	if err != nil {
		return nil, err
	}
	e := &end{t: r.t, conn: conn, net: below, got: make(chan []byte, 1000), still: r.pipes != nil}
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
	r.t.Cleanup(func() {
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

// dataFrame returns a Data frame whose bytes depend on their place and on seed.
func dataFrame(sid sbrp.SessionID, size int, seed byte) []byte {
	p := bytes.Repeat([]byte{seed}, size)
	for i := 0; i < size; i += 997 {
		p[i] ^= byte(i / 997)
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

// chatter returns after some frames have gone to and fro, whatever else comes.
func (e *end) chatter() {
	e.t.Helper()
	for range 100 {
		e.send(sbrp.AppendPing(nil, []byte("again")))
		for {
			b, ok := e.next()
			if !ok {
				e.t.Fatal(e.err)
			}
			if b[0] == byte(sbrp.FramePong) {
				break
			}
		}
	}
}

// patience is how long a real clock may need for what happens at once. A fake clock jumps over it.
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

// quiet fails the test if anything has come: in a bubble once everything stands still, else once the relay has answered
// a Ping, before which everything that it had to say has come.
func (e *end) quiet() {
	e.t.Helper()
	if !e.still {
		e.sync()
		return
	}
	synctest.Wait()
	select {
	case b, ok := <-e.got:
		if !ok {
			e.t.Fatalf("connection ended: %v", e.err)
		}
		e.t.Fatalf("got %s, want nothing", describe(b))
	default:
	}
}

// wait lets time pass. Inside a bubble only.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
