package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/token"
)

// Config configures a [Server].
type Config struct {
	Store     *Store // required; the caller closes it, after Run has returned
	PublicURL string // required: the base URL that devices are told; the issuer of tokens, character by character
	// Node is this process among several; it knows every daemon's relay. nil: there is one
	// relay, and RelayURL and Online know it.
	Node *Node
	// RelayURL gives the WebSocket URL of the relay; required without Node.
	RelayURL func() string
	Online   func(daemonID string) bool // whether the daemon is connected to the relay; nil: none is
	Region   string                     // put into tokens; empty: they are good at any relay

	SessionTTL  time.Duration // of client tokens; zero: 120 s, at most 300 s
	PresenceTTL time.Duration // of presence tokens; zero: 1 h, at most MaxPresenceTTL
	MaxSessions int           // of one daemon at once, told to the relay by its presence token; zero: no limit

	// RemoteAddr says where a request comes from, for rate limits; nil: its TCP peer.
	// Behind a proxy all requests come from one peer, and this must know better.
	RemoteAddr func(*http.Request) netip.Addr
	Now        func() time.Time // nil: time.Now
	Logger     *slog.Logger     // nil: silent
	// Audit gets a line for each act that somebody has made the control plane do, at level
	// Info; nil: nothing is written.
	Audit *slog.Logger
}

// Server is the control plane. Handler may serve from the start; Run keeps the
// store tidy. All methods may run concurrently.
type Server struct {
	cfg    Config
	store  *Store
	places places
	origin string // of PublicURL
	now    func() time.Time
	log    *slog.Logger
	keys   *keyring

	failures    *limiter // failed authentication, per remote address
	redemptions *limiter // pairing redemption, per remote address
	pairings    *limiter // new pairing codes, per daemon
}

// New makes a server. Nothing is read or started yet.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil {
		return nil, errors.New("make control plane: Store is nil")
	}
	if cfg.RelayURL == nil && cfg.Node == nil {
		return nil, errors.New("make control plane: RelayURL is nil")
	}
	origin, err := api.Origin(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("make control plane: PublicURL: %w", err)
	}
	cfg.SessionTTL = cmp.Or(cfg.SessionTTL, token.ClientTTL)
	if cfg.SessionTTL < time.Second || cfg.SessionTTL > token.MaxClientLifetime {
		return nil, fmt.Errorf("make control plane: SessionTTL is %s, must be 1 s to %s", cfg.SessionTTL, token.MaxClientLifetime)
	}
	cfg.PresenceTTL = cmp.Or(cfg.PresenceTTL, token.PresenceTTL)
	if cfg.PresenceTTL < time.Minute || cfg.PresenceTTL > MaxPresenceTTL {
		return nil, fmt.Errorf("make control plane: PresenceTTL is %s, must be 1 min to %s", cfg.PresenceTTL, MaxPresenceTTL)
	}
	if cfg.MaxSessions < 0 {
		return nil, errors.New("make control plane: MaxSessions is negative")
	}
	if cfg.Online == nil {
		cfg.Online = func(string) bool { return false }
	}
	var where places = onePlace{cfg.RelayURL, cfg.Online}
	if cfg.Node != nil {
		where = cfg.Node
	}
	if cfg.RemoteAddr == nil {
		cfg.RemoteAddr = tcpPeer
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Audit = cmp.Or(cfg.Audit, slog.New(slog.DiscardHandler))
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Server{
		cfg: cfg, store: cfg.Store, places: where, origin: origin, now: cfg.Now, log: log,
		keys:        newKeyring(cfg.Store, cfg.Now, log),
		failures:    newLimiter(tenPerMinute),
		redemptions: newLimiter(tenPerMinute),
		pairings:    newLimiter(tenPerMinute),
	}, nil
}

// Issuer is the iss of the tokens: what a relay's verifier must be told.
func (s *Server) Issuer() string { return s.cfg.PublicURL }

// Keys is the source of verification keys for a relay in the same process. It
// follows rotations, by other processes too.
func (s *Server) Keys() token.KeySource { return s.keys }

// Rate and sweep intervals.
const (
	tenPerMinute  = 10 // spec section 8 for pairing codes; the same for what may be guessed
	sweepInterval = time.Minute
)

// Run removes what has expired from the store and rotates the signing key once a
// month. It blocks until ctx ends and returns nil; trouble with the store is
// logged and tried again, since requests go on meanwhile.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		s.tidy(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) tidy(ctx context.Context) {
	now := s.now()
	for _, l := range []*limiter{s.failures, s.redemptions, s.pairings} {
		l.prune(now)
	}
	if err := s.store.sweep(ctx, now); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot remove what has expired, trying again", "in", sweepInterval, "err", err)
	}
	if err := s.rotateOnTime(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot rotate the signing key, trying again", "in", sweepInterval, "err", err)
	}
}

func tcpPeer(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero Addr shares one bucket
	return ap.Addr()
}
