package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

const daemonID = "d-1"

// rig is a daemon at a scripted relay.
type rig struct {
	t        testing.TB
	relay    *sbrptest.Relay
	url      string // empty: in memory
	identity *e2ee.Identity
	daemon   *endpoint.Daemon
	accepted chan *endpoint.Session
	stop     func() error // ends the daemon and returns what Run returned

	mu     sync.Mutex
	states []endpoint.DaemonState // guarded by mu
	asked  int                    // guarded by mu; calls of Connect
}

// start starts a rig; url is the relay's, or empty for one in memory.
func start(t testing.TB, relay *sbrptest.Relay, url string, change func(*endpoint.DaemonConfig)) *rig {
	t.Helper()
	r := &rig{t: t, relay: relay, url: url, identity: e2ee.GenerateIdentity(), accepted: make(chan *endpoint.Session, 64)}
	cfg := endpoint.DaemonConfig{
		Identity: r.identity,
		Connect: func(context.Context) (endpoint.Presence, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.asked++
			return endpoint.Presence{URL: cmp(url, "memory"), Token: sbrptest.DaemonToken(daemonID, r.asked), DaemonID: daemonID, Expires: time.Now().Add(time.Hour)}, nil
		},
		Accept: func(s *endpoint.Session) {
			r.accepted <- s
			<-s.Done()
		},
		OnState: func(s endpoint.DaemonState) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.states = append(r.states, s)
		},
		DialWire: r.dialWire(),
		Logger:   logger(t),
	}
	if change != nil {
		change(&cfg)
	}
	d, err := endpoint.NewDaemon(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.daemon = d
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil && !errors.Is(err, errTestPermanent) {
			t.Errorf("daemon's Run: %v", err)
		}
		relay.Close()
	})
	r.await("the daemon to come online", func() bool { return relay.Online(daemonID) })
	return r
}

var errTestPermanent = errors.New("revoked by the test")

func cmp(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// dialWire is how both ends reach the relay: nil for real WebSockets.
func (r *rig) dialWire() endpoint.DialFunc {
	if r.url != "" {
		return nil
	}
	return func(ctx context.Context, url string, o wsconn.DialOptions) (endpoint.Wire, error) {
		c, err := r.relay.Dial(ctx, url, o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// await waits for the relay to get into a state.
func (r *rig) await(what string, f func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.relay.Await(ctx, f); err != nil {
		r.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// client is what DialSession needs for a new session.
func (r *rig) client() endpoint.ClientConfig {
	return endpoint.ClientConfig{
		URL:      cmp(r.url, "memory"),
		Token:    sbrptest.ClientToken(daemonID, sbrp.NewSessionID()),
		DaemonID: daemonID,
		Expected: r.identity.PublicKey(),
		DialWire: r.dialWire(),
		Logger:   logger(r.t),
	}
}

// ends are the two ends of one session.
type ends struct {
	t              testing.TB
	client, daemon *end
	id             sbrp.SessionID
}

// dial makes a session.
func (r *rig) dial(change func(*endpoint.ClientConfig)) *ends {
	r.t.Helper()
	cfg := r.client()
	if change != nil {
		change(&cfg)
	}
	c, err := endpoint.DialSession(r.t.Context(), cfg)
	if err != nil {
		r.t.Fatalf("DialSession: %v", err)
	}
	r.t.Cleanup(func() { _ = c.Close("test is over") })
	d := <-r.accepted
	if d.ID() != c.ID() {
		r.t.Fatalf("daemon accepted session %v, client dialled %v", d.ID(), c.ID())
	}
	return &ends{t: r.t, client: pump(r.t, c), daemon: pump(r.t, d), id: c.ID()}
}

// end is a session with somebody who always receives.
type end struct {
	*endpoint.Session
	t    testing.TB
	name string
	got  chan string
	done chan struct{} // closed when Receive has failed
	err  error         // its error
}

func pump(t testing.TB, s *endpoint.Session) *end {
	e := &end{Session: s, t: t, name: s.Role().String(), got: make(chan string, 1<<16), done: make(chan struct{})}
	go func() {
		defer close(e.done)
		buf := make([]byte, sbrp.MaxFrame+1)
		for {
			m, err := s.Receive(buf)
			if err != nil {
				e.err = err
				return
			}
			e.got <- string(m)
		}
	}()
	t.Cleanup(func() {
		_ = s.Close("test is over")
		<-e.done
	})
	return e
}

// send sends text; the session must be alive.
func (e *end) send(text string) {
	e.t.Helper()
	if err := e.Send(packet(text)); err != nil {
		e.t.Fatalf("%s: Send(%.20q): %v", e.name, text, err)
	}
}

// packet puts text into a buffer with the room that Send wants.
func packet(text string) []byte {
	buf := make([]byte, 25+len(text), 25+len(text)+16)
	copy(buf[25:], text)
	return buf
}

// want receives exactly text.
func (e *end) want(text string) {
	e.t.Helper()
	t := time.NewTimer(time.Minute)
	defer t.Stop()
	select {
	case got := <-e.got:
		if got != text {
			e.t.Fatalf("%s received %.40q, want %.40q", e.name, got, text)
		}
	case <-e.done:
		select {
		case got := <-e.got:
			if got == text {
				return
			}
		default:
		}
		e.t.Fatalf("%s: session ended (%v), want the message %.40q", e.name, e.err, text)
	case <-t.C:
		e.t.Fatalf("%s received nothing, want %.40q", e.name, text)
	}
}

// wantNothing is for bubbles: all is still, and nothing was received.
func (e *end) wantNothing() {
	e.t.Helper()
	select {
	case got := <-e.got:
		e.t.Fatalf("%s received %.40q, want nothing", e.name, got)
	case <-e.done:
		e.t.Fatalf("%s: session ended: %v", e.name, e.err)
	default:
	}
}

// wantEnd waits for the end and returns its error.
func (e *end) wantEnd() error {
	e.t.Helper()
	return e.wantEndWithin(5 * time.Minute)
}

// wantEndWithin is wantEnd for those that take long.
func (e *end) wantEndWithin(limit time.Duration) error {
	e.t.Helper()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-e.done:
	case <-t.C:
		e.t.Fatalf("%s: session goes on (%v), want its end", e.name, e.State())
	}
	if err := e.Send(packet("late")); err == nil {
		e.t.Errorf("%s: Send after the end (%v) gives no error", e.name, e.err)
	}
	return e.err
}

// wantCode waits for the end and checks the code in its error.
func (e *end) wantCode(code sbrp.Code) {
	e.t.Helper()
	err := e.wantEnd()
	if got, ok := sbrp.CodeOf(err); !ok || got != code {
		e.t.Errorf("%s: session ended with %v, want %v", e.name, err, code)
	}
}

// wantPath waits until the path is as wanted.
func (e *end) wantPath(up bool, resumes uint32) {
	e.t.Helper()
	t := time.NewTimer(time.Minute)
	defer t.Stop()
	for {
		gotUp, gotResumes, changed := e.Path()
		if gotUp == up && gotResumes == resumes {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			e.t.Fatalf("%s: path is up %v with %d resumes, want %v, %d", e.name, gotUp, gotResumes, up, resumes)
		}
	}
}

// talk sends a message each way.
func (x *ends) talk(label string) {
	x.t.Helper()
	x.client.send("to daemon " + label)
	x.daemon.want("to daemon " + label)
	x.daemon.send("to client " + label)
	x.client.want("to client " + label)
}

// numbered is the i-th message of a test.
func numbered(i int) string { return fmt.Sprintf("message %d", i) }
