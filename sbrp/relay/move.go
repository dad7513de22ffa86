package relay

// With several relays, each daemon has its place at one of them, which the control plane knows. What it has to ask of a
// relay, and what it can tell one, is here.

// Move ends what this relay has of a daemon whose place is at another one: its connection, if it has one, with
// wsconn.StatusMoved, after which it asks the control plane where to go; and its sessions, so that the clients ask too.
// It does not wait. It reports whether there was anything to end.
func (s *Server) Move(daemonID string) bool {
	sl := s.find(daemonID)
	if sl == nil {
		return false
	}
	var eff effects
	sl.mu.Lock()
	d, ended := sl.daemon, sl.live() > 0
	for _, session := range sl.sessions {
		// What the daemon would say of it, or what would happen to it if nobody said anything.
		if session.state == statePaused {
			sl.fire(session, graceOver, &eff)
		} else {
			sl.fire(session, signalClose, &eff)
		}
	}
	sl.mu.Unlock()
	eff.flush()
	if d != nil {
		d.out.finish(endMoved)
		d.out.kick()
	}
	return d != nil || ended
}

// Holds reports whether there are sessions with the daemon, paused ones included.
func (s *Server) Holds(daemonID string) bool {
	sl := s.find(daemonID)
	if sl == nil {
		return false
	}
	sl.mu.RLock()
	defer sl.mu.RUnlock()
	return sl.live() > 0
}

// Daemons returns the ids of the daemons that are connected.
func (s *Server) Daemons() []string {
	s.mu.Lock()
	slots := make([]*slot, 0, len(s.slots))
	for _, sl := range s.slots {
		slots = append(slots, sl)
	}
	s.mu.Unlock()
	var ids []string
	for _, sl := range slots {
		if sl.online() {
			ids = append(ids, sl.id)
		}
	}
	return ids
}

// Online reports whether the daemon is connected.
func (s *Server) Online(daemonID string) bool {
	sl := s.find(daemonID)
	return sl != nil && sl.online()
}

// find returns the daemon's slot, nil if there is none.
func (s *Server) find(daemonID string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[daemonID]
}

func (sl *slot) online() bool {
	sl.mu.RLock()
	defer sl.mu.RUnlock()
	return sl.daemon != nil
}
