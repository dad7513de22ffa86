package mux

import (
	"context"
	"log/slog"
	"net"
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
	// Admit decides on a client whose signature has been verified. A *RefusedError is told to the client; any other error
	// refuses it as busy without a word about the cause. It runs in Serve's goroutine.
	Admit func(ctx context.Context, hello Hello) (Admission, error)

	// Handle serves one new link: an accept loop. It runs in a goroutine of the server's, once per link; ctx ends with the
	// link, and the link ends when Handle returns.
	Handle func(ctx context.Context, session *Session)

	Program      string        // program and version, at most 128 bytes
	HoldTime     time.Duration // see ClientConfig
	WindowMin    int
	WindowMax    int
	StreamWindow int
	MaxLinks     int // links at once over all clients; 0: DefaultMaxLinks
	Budget       *Budget
	OnEvent      func(Event)
	Logger       *slog.Logger
}

// Server is the daemon's end: all links of all clients. All methods may be called concurrently.
type Server struct{}

// NewServer checks the configuration.
func NewServer(cfg ServerConfig) (*Server, error) { return &Server{}, nil }

// Serve runs a link on a carrier and blocks until that carrier has ended, which it then is in any case.
func (s *Server) Serve(ctx context.Context, carrier Carrier) error { return net.ErrClosed }

// Run blocks until ctx ends, then ends all links and waits for all that the server has started.
func (s *Server) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Drop ends all links of a client at once and tells how many there were.
func (s *Server) Drop(key [32]byte, code Code, text string) int { return 0 }

// Links is a snapshot of all links.
func (s *Server) Links() []Status { return nil }
