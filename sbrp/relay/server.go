package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp"
)

// Server is a relay. It is an http.Handler; Run must be running while it serves. All methods may be called concurrently.
type Server struct {
	cfg    Config
	log    *slog.Logger
	stats  stats
	queued atomic.Int64 // cost of all clients' queues

	addresses crowd[netip.Prefix] // WebSockets by where they come from
	accounts  crowd[string]       // and by account

	wg sync.WaitGroup // every goroutine of this server

	mu       sync.Mutex // guards what follows; taken before a slot's, never inside
	slots    map[string]*slot
	peers    map[peer]struct{}
	leaving  bool          // Drain was called: nobody new is let in
	slowly   bool          // and that takes its time
	emptied  chan struct{} // made by Drain, closed when no peer is left
	draining bool          // Run is ending
}

// peer is a connection, of either kind, to those who care for all of them.
type peer interface {
	silent(now time.Time) time.Duration
	stuck(now time.Time) time.Duration
	ping()
	cut()
	shutdown() // begins the end because the server ends; kick goes on with it
	kick()
}

// shutDown ends connections because the server ends. All are ending before the first is gone: nobody is told anything but
// that, and not that the other end has gone.
func shutDown(ps []peer) {
	for _, p := range ps {
		p.shutdown()
	}
	for _, p := range ps {
		p.kick()
	}
}

// New returns a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg: cfg, log: cfg.Logger, stats: stats{badTokens: newBadTokens()},
		slots: make(map[string]*slot), peers: make(map[peer]struct{}),
	}, nil
}

// Run watches over the connections until ctx ends; then it refuses new ones (503), closes those that are open with
// WebSocket status 1001 (going away), and returns nil when all of them and everything else it started have ended, which takes
// at most the write timeout and a little.
func (s *Server) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.PingInterval / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.drain()
			return nil
		case now := <-ticker.C:
			s.watch(now)
		}
	}
}

// watch pings the connections that have been silent for a while and cuts those that are dead.
func (s *Server) watch(now time.Time) {
	for _, p := range s.all() {
		switch d := p.silent(now); {
		case d >= s.cfg.IdleTimeout:
			s.stats.dead.Add(1)
			p.cut()
		case p.stuck(now) >= s.cfg.MessageTimeout:
			s.stats.stuck.Add(1)
			p.cut()
		case d >= s.cfg.PingInterval:
			s.wg.Go(p.ping) // it may have to wait for the peer, where the system cannot do without
		}
	}
}

func (s *Server) all() []peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	ps := make([]peer, 0, len(s.peers))
	for p := range s.peers {
		ps = append(ps, p)
	}
	return ps
}

func (s *Server) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	shutDown(s.all())
	s.wg.Wait()
}

func (s *Server) track(p peer) {
	s.mu.Lock()
	s.peers[p] = struct{}{}
	draining := s.draining || s.leaving
	s.mu.Unlock()
	if draining {
		shutDown([]peer{p}) // it came while drain was going through the others
	}
}

func (s *Server) untrack(p peer) {
	s.mu.Lock()
	delete(s.peers, p)
	s.checkEmpty()
	s.mu.Unlock()
}

// start runs f in a goroutine of its own, which Run waits for. It returns false, and does nothing, once the server is draining.
func (s *Server) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.wg.Go(f)
	return true
}

// owned runs f in the calling goroutine, a timer's, so that Run waits for it; not at all once the server is draining.
func (s *Server) owned(f func()) {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	f()
}

// recovered is deferred by a connection's goroutine: a mistake of ours ends that connection, with internal_error, and not the
// relay.
func (s *Server) recovered(fail func()) {
	if r := recover(); r != nil {
		s.stats.panics.Add(1)
		s.log.Error("internal error", "panic", r, "stack", string(debug.Stack()))
		fail()
	}
}

// acquire returns the daemon's slot and keeps it until release.
func (s *Server) acquire(daemonID string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[daemonID]
	if sl == nil {
		sl = &slot{srv: s, id: daemonID, sessions: make(map[sbrp.SessionID]*session)}
		s.slots[daemonID] = sl
	}
	sl.refs++
	return sl
}

func (s *Server) release(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.refs--; sl.refs == 0 {
		delete(s.slots, sl.id)
	}
}

func (s *Server) discard(why discard) { s.stats.discarded[why].Add(1) }

// queueLimit is what one client's queue may cost now. As the budget runs out, everybody's share shrinks, so that a few clients
// that do not read cannot keep the others from queueing at all; a sixteenth of what is free leaves room for more than
// ten such clients at their full share.
func (s *Server) queueLimit() int {
	free := s.cfg.Budget - s.queued.Load()
	return int(min(int64(s.cfg.ClientQueue), max(free, 0)/16))
}
