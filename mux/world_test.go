package mux

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// world is a client and a server that tests join by carriers.
type world struct {
	t      testing.TB
	key    [32]byte
	client *Client
	server *Server
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	events []Event // the client's
	sevent []Event
}

type worldOptions struct {
	client func(*ClientConfig)
	server func(*ServerConfig)
	handle func(ctx context.Context, s *Session)
}

func testKey(n byte) ([32]byte, func([]byte) []byte) {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	priv := ed25519.NewKeyFromSeed(seed)
	return [32]byte(priv.Public().(ed25519.PublicKey)), func(m []byte) []byte { return ed25519.Sign(priv, m) }
}

// newWorld starts both ends; they end with the test. Without a handler streams are echoed.
func newWorld(t testing.TB, o worldOptions) *world {
	t.Helper()
	w := &world{t: t}
	var sign func([]byte) []byte
	w.key, sign = testKey(1)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cc := ClientConfig{Key: w.key, Sign: sign, Name: "laptop", Program: "test 1", Logger: log, OnEvent: func(e Event) {
		w.mu.Lock()
		w.events = append(w.events, e)
		w.mu.Unlock()
	}}
	sc := ServerConfig{
		Admit:   func(context.Context, Hello) (Admission, error) { return Admission{Name: "laptop"}, nil },
		Handle:  echoStreams,
		Program: "testd 1",
		Logger:  log,
		OnEvent: func(e Event) {
			w.mu.Lock()
			w.sevent = append(w.sevent, e)
			w.mu.Unlock()
		},
	}
	if o.handle != nil {
		sc.Handle = o.handle
	}
	if o.client != nil {
		o.client(&cc)
	}
	if o.server != nil {
		o.server(&sc)
	}
	var err error
	if w.client, err = NewClient(cc); err != nil {
		t.Fatal(err)
	}
	if w.server, err = NewServer(sc); err != nil {
		t.Fatal(err)
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.done.Go(func() { _ = w.client.Run(w.ctx) })
	w.done.Go(func() { _ = w.server.Run(w.ctx) })
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	w.cancel()
	w.done.Wait()
}

// connect gives both ends a new carrier and returns it. Serve's errors go to the channel.
func (w *world) connect(fault muxtest.Fault) (*muxtest.Pair, <-chan error) {
	p := muxtest.NewPair(fault)
	return p, w.serve(p)
}

func (w *world) serve(p *muxtest.Pair) <-chan error {
	errs := make(chan error, 1)
	w.done.Go(func() { _ = w.server.Serve(w.ctx, p.B) })
	w.done.Go(func() { errs <- w.client.Serve(w.ctx, p.A) })
	return errs
}

func (w *world) open() *Stream {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	s, err := w.client.Open(ctx)
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	return s
}

// kinds lists the client's events so far.
func (w *world) kinds() (kinds []EventKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// echoStreams sends back what each stream brings.
func echoStreams(ctx context.Context, s *Session) {
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		st, err := s.Accept(ctx)
		if err != nil {
			return
		}
		streams.Go(func() {
			defer st.Close()
			if _, err := io.Copy(st, st); err != nil {
				if !errors.Is(err, ErrReset) {
					_ = st.Reset()
				}
				return
			}
			_ = st.CloseWrite()
		})
	}
}
