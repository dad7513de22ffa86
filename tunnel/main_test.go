package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"culvert/mux"
	"culvert/mux/muxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

// rig is a client and a daemon with an Exposer, joined by a real link over a
// carrier in memory.
type rig struct {
	client  *mux.Client
	exposer *Exposer
	grants  *testGrants
	key     [32]byte
	pair    *muxtest.Pair
}

// newRig starts one. Everything ends with the test. cfg.Grants and cfg.Targets
// are filled in if they are not set.
func newRig(t testing.TB, cfg ExposerConfig, targets ...string) *rig {
	t.Helper()
	r := &rig{grants: &testGrants{}, pair: muxtest.NewPair(nil)}
	if cfg.Grants == nil {
		cfg.Grants = r.grants
	}
	if cfg.Targets == nil {
		ts, err := ParseTargets(targets...)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Targets = ts
	}
	var err error
	if r.exposer, err = NewExposer(cfg); err != nil {
		t.Fatal(err)
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.key = [32]byte(pub)
	r.client, err = mux.NewClient(mux.ClientConfig{Key: r.key, Sign: func(msg []byte) []byte { return ed25519.Sign(priv, msg) }, Name: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	server, err := mux.NewServer(mux.ServerConfig{
		Admit: func(context.Context, mux.Hello) (mux.Admission, error) {
			return mux.Admission{Name: "tester"}, nil
		},
		Handle: func(ctx context.Context, s *mux.Session) { _ = r.exposer.Serve(ctx, s) }, // ends with the link
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Run(ctx) })
	wg.Go(func() { _ = r.client.Run(ctx) })
	wg.Go(func() { _ = server.Serve(ctx, r.pair.B) })
	wg.Go(func() { _ = r.client.Serve(ctx, r.pair.A) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return r
}

// testGrants allows all but what is denied.
type testGrants struct {
	mu     sync.Mutex
	denied map[string]error // by target
}

func (g *testGrants) Allowed(_ [32]byte, target string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.denied[target]
}

func (g *testGrants) deny(target string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.denied == nil {
		g.denied = make(map[string]error)
	}
	g.denied[target] = err
}

// deniedError is what config returns, in small.
type deniedError struct{ reason string }

func (e deniedError) Error() string  { return "client may not: secret details" }
func (e deniedError) Denied() string { return e.reason }

// serve listens on loopback, runs handle for each connection, and returns the
// address. handle need not close. Everything ends with the test.
func serve(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, handle)
	return ln.Addr().String()
}

func serveOn(t testing.TB, ln net.Listener, handle func(net.Conn)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[net.Conn]bool)
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() {
				handle(c)
				_ = c.Close() // it may be closed already
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // the test may have closed it
		mu.Lock()
		for c := range conns {
			_ = c.Close() // unblocks handle
		}
		mu.Unlock()
		wg.Wait()
	})
}

// echo sends everything back and ends when the peer has. The wrappers keep
// io.Copy from splice, whose pipes stay open until a garbage collection and
// would look like a leak.
func echo(c net.Conn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// hold reads until the peer ends.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// freePort is an address on which nothing listens: the listener that had it is
// closed, and nobody gets an ephemeral port again so soon.
func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startForward binds and runs a forward to target and returns its address.
func startForward(t testing.TB, r *rig, cfg ForwardConfig, spec string) (*Forward, string) {
	t.Helper()
	var err error
	if cfg.Spec, err = ParseForward(spec); err != nil {
		t.Fatal(err)
	}
	if cfg.Opener == nil {
		cfg.Opener = r.client
	}
	f, err := NewForward(cfg)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := f.Bind()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("forward %s: Run returned %v", spec, err)
		}
	})
	return f, addr.String()
}

// dialTo connects to a local address; the connection has a deadline and ends
// with the test.
func dialTo(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	return c
}

// wait returns what comes from c.
func wait[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s has not come", what)
		panic("unreachable")
	}
}
