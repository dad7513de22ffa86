package mux

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Admission is what Admit grants to a client.
type Admission struct {
	Name         string       // what this daemon calls the client
	Targets      []TargetInfo // what the client may reach: told to it, enforced elsewhere
	PairingProof []byte       // the daemon's proof, when the client sent its own
}

// ServerConfig says how a daemon treats links. Admit and Handle are required.
type ServerConfig struct {
	// Admit decides on a client whose signature has been verified, at each of its carriers. A *RefusedError is told to the
	// client; any other error refuses it as busy without a word about the cause. It runs in Serve's goroutine.
	Admit func(ctx context.Context, hello Hello) (Admission, error)

	// Handle serves one new link: an accept loop. It runs in a goroutine of the server's, once per link; ctx ends with the
	// link, and the link ends when Handle returns.
	Handle func(ctx context.Context, session *Session)

	Program      string        // program and version, at most 128 bytes
	HoldTime     time.Duration // these as in ClientConfig
	WindowMin    int
	WindowMax    int
	StreamWindow int
	MaxLinks     int // links at once over all clients; 0: DefaultMaxLinks
	Budget       *Budget
	OnEvent      func(Event)
	Logger       *slog.Logger
}

// Server is the daemon's end: all links of all clients. All methods may be called concurrently, but Run waits for
// everything, so OnEvent and Handle must not wait for it.
type Server struct {
	cfg    ServerConfig
	limits limits // but for hold, which mu guards
	events eventQueue
	start  starter
	verify verifier
	life   context.Context // ends with the server
	die    context.CancelCauseFunc
	work   sync.WaitGroup // Serve calls and what links run; added to under mu while not closed

	mu     sync.Mutex // guards what follows
	closed bool
	links  map[LinkID]*serverLink
}

// serverLink is a link as the server keeps it.
type serverLink struct {
	*link
	hello uint64 // attempt of the last HELLO that named it; guarded by the server's mu
}

// NewServer checks the configuration. Nothing runs yet.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Admit == nil || cfg.Handle == nil {
		return nil, errors.New("configure link server: Admit or Handle is missing")
	}
	if !plainText(cfg.Program) {
		return nil, fmt.Errorf("configure link server: Program is longer than %d bytes or not plain text", maxName)
	}
	if cfg.MaxLinks < 0 {
		return nil, fmt.Errorf("configure link server: MaxLinks is %d", cfg.MaxLinks)
	}
	if cfg.MaxLinks == 0 {
		cfg.MaxLinks = DefaultMaxLinks
	}
	lim, err := newLimits(cfg.HoldTime, cfg.WindowMin, cfg.WindowMax, cfg.StreamWindow, cfg.Budget, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("configure link server: %w", err)
	}
	s := &Server{
		cfg: cfg, limits: lim, events: eventQueue{deliver: cfg.OnEvent}, start: newSession, verify: ed25519.Verify,
		links: make(map[LinkID]*serverLink),
	}
	s.life, s.die = context.WithCancelCause(context.Background()) // the server's own life: Run ends it
	return s, nil
}

// Serve runs a link on a carrier and blocks until that carrier has ended, which it then has in any case. It returns why;
// the link, unless it has ended too, is held for the client's next carrier.
func (s *Server) Serve(ctx context.Context, carrier Carrier) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = carrier.Close("server closed") // not used at all
		return errServerClosed
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()
	l, att, err := s.handshake(ctx, carrier)
	s.events.flush()
	if err == nil {
		err = l.watch(ctx, att)
	}
	_ = carrier.Close(fmt.Sprint(err)) // it has ended already, or ends now
	return err
}

// Run blocks until ctx ends, then ends all links and waits for all that the server has started. The end is told to the
// clients, and what was written is given a short time to arrive, where Serve's context outlives this one: Serve returns by
// itself when the server ends.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	var farewells sync.WaitGroup
	for _, l := range s.links {
		farewells.Go(func() { l.finish(&LinkError{Code: CodeShutdown, Text: "daemon ends"}) })
	}
	s.mu.Unlock()
	farewells.Wait()
	s.die(errServerClosed)
	s.work.Wait()
	return context.Cause(ctx)
}

// Drop ends all links of a client at once, tells it why, and returns how many there were.
func (s *Server) Drop(key [32]byte, code Code, text string) int {
	s.mu.Lock()
	var drop []*serverLink
	for _, l := range s.links {
		if l.peer.Key == key {
			drop = append(drop, l)
		}
	}
	s.mu.Unlock()
	for _, l := range drop {
		l.end(&LinkError{Code: code, Text: text}, true)
	}
	return len(drop)
}

// Links is a snapshot of all links.
func (s *Server) Links() []Status {
	s.mu.Lock()
	links := make([]*serverLink, 0, len(s.links))
	for _, l := range s.links {
		links = append(links, l)
	}
	s.mu.Unlock()
	all := make([]Status, 0, len(links))
	for _, l := range links {
		all = append(all, l.status())
	}
	return all
}
