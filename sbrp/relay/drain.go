package relay

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Drain refuses new connections (503) and tells those that are open to go elsewhere, with WebSocket status 1001: a daemon
// together with its clients, one daemon after the other, evenly over the given time; 0: all at once. Sessions that are not told
// yet go on as ever. It returns when no connection is left, or when ctx ends; then Run should be ended too.
func (s *Server) Drain(ctx context.Context, over time.Duration) {
	s.mu.Lock()
	s.leaving, s.slowly = true, over > 0
	slots := slices.Collect(maps.Values(s.slots))
	if s.emptied == nil {
		s.emptied = make(chan struct{})
		s.checkEmpty()
	}
	emptied := s.emptied
	s.mu.Unlock()
	for _, sl := range slots {
		sl.shutdown()
		if over == 0 {
			continue
		}
		select {
		case <-time.After(over / time.Duration(len(slots))):
		case <-emptied:
		case <-ctx.Done():
		}
	}
	shutDown(s.all()) // who came while we were at it
	select {
	case <-emptied:
	case <-ctx.Done():
	}
}

// checkEmpty tells Drain if no connection is left. The caller has mu.
func (s *Server) checkEmpty() {
	if s.emptied != nil && len(s.peers) == 0 {
		select {
		case <-s.emptied:
		default:
			close(s.emptied)
		}
	}
}

// shutdown tells the daemon and its clients to go elsewhere.
func (sl *slot) shutdown() {
	sl.mu.RLock()
	var ps []peer
	if sl.daemon != nil {
		ps = append(ps, sl.daemon)
	}
	for _, s := range sl.sessions {
		if s.client != nil {
			ps = append(ps, s.client)
		}
	}
	sl.mu.RUnlock()
	shutDown(ps)
}
