package sbrptest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// Passage is one endpoint frame on its way through the relay, before the relay
// looks at what it means.
type Passage struct {
	From      sbrp.Role      // RoleClient or RoleDaemon
	SessionID sbrp.SessionID // zero for Ping and Pong
	N         int            // how many frames came this way in this session before, over all its connections
	Frame     sbrp.Frame
	Message   []byte // the frame's bytes; may be kept and changed
}

// Refusal is how the relay turns a connection away before the upgrade.
type Refusal struct {
	Status int
	Code   string
}

// Signaled is a Signal that a daemon sent.
type Signaled struct {
	SessionID sbrp.SessionID
	Signal    sbrp.Signal
	Reason    sbrp.Reason
}

// Relay is a relay in one process. All methods may be called concurrently.
type Relay struct {
	mu       sync.Mutex
	script   func(Passage) [][]byte
	refuse   func(role sbrp.Role, token string) *Refusal
	mute     bool                // no hints of its own
	deaf     bool                // does not answer Pings
	parties  map[*party]struct{} // all whose connection is being read
	daemons  map[string]*party
	sessions map[sbrp.SessionID]*session
	counts   map[way]int
	signals  []Signaled
	tokens   []string // presence tokens seen
	changed  chan struct{}
	closed   bool
	wg       sync.WaitGroup
}

// way is one direction of one session.
type way struct {
	id   sbrp.SessionID
	from sbrp.Role
}

// party is one connection.
type party struct {
	conn   Conn
	role   sbrp.Role
	daemon string
	id     sbrp.SessionID // of a client
	silent bool           // guarded by Relay.mu; what comes is thrown away and nothing is sent
	frozen chan struct{}  // guarded by Relay.mu; nothing is read until it is closed
}

// session is what the relay knows of one session.
type session struct {
	client   *party
	daemon   string
	accepted bool
	paused   bool
	pending  bool
}

// NewRelay returns a relay that behaves. Close it in the end.
func NewRelay() *Relay {
	return &Relay{
		parties:  make(map[*party]struct{}),
		daemons:  make(map[string]*party),
		sessions: make(map[sbrp.SessionID]*session),
		counts:   make(map[way]int),
		changed:  make(chan struct{}),
	}
}

// Listen serves the relay on a loopback port until the test ends, and returns
// its URL.
func (r *Relay) Listen(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		r.Close()
		server.Close()
	})
	return server.URL
}

// Close cuts all connections and waits for the relay's goroutines.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Restart()
	r.wg.Wait()
}

// ServeHTTP upgrades and serves one connection.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	token := wsconn.RequestToken(req)
	if refusal := r.check(token); refusal != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(refusal.Status)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": refusal.Code, "message": "refused by script"}) // the test sees it
		return
	}
	conn, err := wsconn.Accept(w, req, wsconn.AcceptOptions{})
	if err != nil {
		return // Accept has answered
	}
	if p := r.join(conn, token); p != nil {
		defer r.wg.Done()
		r.run(p)
	}
}

// Dial connects in memory; the URL does not matter. It has the shape that
// endpoint's DialWire wants, but for the type of its result.
func (r *Relay) Dial(ctx context.Context, _ string, o wsconn.DialOptions) (Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, &wsconn.DialError{Hop: wsconn.HopTCP, Address: "memory", Err: err}
	}
	if refusal := r.check(o.Token); refusal != nil {
		return nil, &wsconn.DialError{Hop: wsconn.HopHTTP, Address: "memory", Status: refusal.Status, Code: refusal.Code}
	}
	near, far := Pipe()
	p := r.join(far, o.Token)
	if p == nil {
		return nil, &wsconn.DialError{Hop: wsconn.HopTCP, Address: "memory", Err: errors.New("relay is closed")}
	}
	go func() { // Close waits for it
		defer r.wg.Done()
		r.run(p)
	}()
	return near, nil
}

// check decides on a connection before the upgrade.
func (r *Relay) check(token string) *Refusal {
	role, _, id, _, err := decode(token)
	r.mu.Lock()
	defer r.mu.Unlock()
	if role == sbrp.RoleDaemon {
		r.tokens = append(r.tokens, token)
		r.wake()
	}
	switch {
	case r.closed:
		return &Refusal{http.StatusServiceUnavailable, "internal_error"}
	case r.refuse != nil:
		if refusal := r.refuse(role, token); refusal != nil {
			return refusal
		}
	}
	switch {
	case err != nil:
		return &Refusal{http.StatusUnauthorized, "unauthorized"}
	case role == sbrp.RoleClient && r.sessions[id] != nil && r.sessions[id].client != nil:
		return &Refusal{http.StatusConflict, "session_exists"}
	default:
		return nil
	}
}

// wake tells those in Await that something changed; mu is held.
func (r *Relay) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Await blocks until what, which is called with no lock held, is true, or ctx
// ends. It looks whenever the relay has done something.
func (r *Relay) Await(ctx context.Context, what func() bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if what() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
