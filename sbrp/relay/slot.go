package relay

import (
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp"
)

// slot is the place of one daemon: its connection, if it has one, and its sessions. It exists as long as there is either.
//
// mu guards all of it. Under mu nothing is written: frames are pushed and flushed after unlocking (effects).
type slot struct {
	srv  *Server
	id   string // the daemon's
	refs int    // guarded by Server.mu

	mu       sync.RWMutex
	daemon   *daemon // nil: offline
	sessions map[sbrp.SessionID]*session
	epoch    uint64        // +1 when the daemon comes or goes; a timer of an older epoch does nothing
	timer    *time.Timer   // grace or pending; nil if none runs
	arriving int           // daemons that may know already that they are connected, and are not attached yet
	arrived  chan struct{} // closed when arriving comes to 0; made when it leaves that
}

// arrivalTime bounds how long a client waits for a daemon that is arriving, which takes microseconds.
const arrivalTime = time.Second

// session is one client's session.
type session struct {
	slot   *slot
	id     sbrp.SessionID
	client *client // set before it leaves stateNone

	state state // guarded by slot.mu

	initiated atomic.Bool // HandshakeInit has been forwarded
	accepted  atomic.Bool // HandshakeAccept has been forwarded
}

// effects are the connections that a change has pushed frames to.
type effects struct {
	clients []*client
	daemon  *daemon
}

// flush writes what was pushed. The caller has no lock.
func (e *effects) flush() {
	for _, c := range e.clients {
		c.out.kick()
	}
	if e.daemon != nil {
		e.daemon.out.kick()
	}
}

// fire applies an event to a session: the table of state.go. The caller has mu.
func (sl *slot) fire(s *session, e event, eff *effects) {
	t, ok := s.state.next(e)
	if !ok {
		return
	}
	sl.srv.stats.moved(s.state, t)
	s.state = t.next
	if t.toDaemon != nobody && sl.daemon != nil {
		if t.toDaemon == sbrp.CodeSessionEnded {
			sl.daemon.told.add(s.id)
		}
		sl.daemon.out.push(forDaemon(s.id, t.toDaemon))
		eff.daemon = sl.daemon
	}
	if t.toClient == nobody {
		return
	}
	if t.toClient.Terminal() {
		s.client.out.finish(endWith(t.toClient, s.id))
	} else {
		s.client.out.push(forClient(s.id, t.toClient))
	}
	eff.clients = append(eff.clients, s.client)
}

// arrive notes that a daemon is about to hear that it is connected, and gives what says that it has been attached or will not
// be; that may be called more than once. Who connects after the daemon has heard it shall not be told that it is offline.
func (sl *slot) arrive() (over func()) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.arriving == 0 {
		sl.arrived = make(chan struct{})
	}
	sl.arriving++
	return sync.OnceFunc(func() {
		sl.mu.Lock()
		defer sl.mu.Unlock()
		if sl.arriving--; sl.arriving == 0 {
			close(sl.arrived)
		}
	})
}

// awaitArrival blocks while there is no daemon but one is arriving.
func (sl *slot) awaitArrival() {
	sl.mu.RLock()
	wait, arrived := sl.daemon == nil && sl.arriving > 0, sl.arrived
	sl.mu.RUnlock()
	if !wait {
		return
	}
	timer := time.NewTimer(arrivalTime)
	defer timer.Stop()
	select {
	case <-arrived:
	case <-timer.C:
	}
}

// attach makes d the daemon's connection. The newest wins: an older one is closed.
func (sl *slot) attach(d *daemon) {
	var eff effects
	sl.mu.Lock()
	old := sl.daemon
	if old != nil {
		sl.dropLocked(&eff)
	}
	sl.daemon = d
	back := daemonBackCannotResume
	if d.resume {
		back = daemonBack
	}
	for _, s := range sl.sessions {
		sl.fire(s, back, &eff)
	}
	sl.restartTimer(sl.srv.cfg.PendingTimeout, statePending, noSignal)
	sl.mu.Unlock()
	eff.flush()
	if old != nil {
		old.out.finish(endReplaced)
		old.out.kick()
	}
	sl.srv.cfg.Changed(sl.id)
}

// detach notes that d's connection is gone, unless it has been replaced.
func (sl *slot) detach(d *daemon) {
	var eff effects
	sl.mu.Lock()
	gone := sl.daemon == d
	if gone {
		sl.dropLocked(&eff)
		sl.restartTimer(sl.srv.cfg.Grace, statePaused, graceOver)
	}
	sl.mu.Unlock()
	eff.flush()
	if gone {
		sl.srv.cfg.Changed(sl.id)
	}
}

func (sl *slot) dropLocked(eff *effects) {
	sl.daemon = nil
	for _, s := range sl.sessions {
		if s.accepted.Load() {
			sl.fire(s, daemonCloses, eff)
		} else {
			sl.fire(s, daemonClosesEarly, eff)
		}
	}
}

// restartTimer begins a new epoch. If a session is in state st, the event is fired for all of those after d.
func (sl *slot) restartTimer(d time.Duration, st state, e event) {
	sl.epoch++
	if sl.timer != nil {
		sl.timer.Stop()
		sl.timer = nil
	}
	for _, s := range sl.sessions {
		if s.state == st {
			epoch := sl.epoch
			sl.timer = time.AfterFunc(d, func() { sl.srv.owned(func() { sl.expire(epoch, st, e) }) })
			return
		}
	}
}

// expire fires e for all sessions in state st, if the daemon has neither come nor gone since.
func (sl *slot) expire(epoch uint64, st state, e event) {
	var eff effects
	sl.mu.Lock()
	if sl.epoch == epoch {
		for _, s := range sl.sessions {
			if s.state == st {
				sl.fire(s, e, &eff)
			}
		}
	}
	sl.mu.Unlock()
	eff.flush()
}

// admission is the answer to a client that wants to connect.
type admission uint8

const (
	admitted admission = iota
	taken              // that session is connected
	crowded            // the daemon has as many sessions as its token allows
)

// reserve takes the session id for a client that is about to be upgraded.
func (sl *slot) reserve(id sbrp.SessionID) (*session, admission) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if _, ok := sl.sessions[id]; ok {
		return nil, taken
	}
	if most := sl.maxSessions(); most > 0 && sl.live() >= most {
		return nil, crowded
	}
	s := &session{slot: sl, id: id}
	sl.sessions[id] = s
	sl.srv.stats.sessions[stateNone].Add(1)
	return s, admitted
}

// maxSessions is the smaller one of the relay's and the token's limits; 0 if there is none. The caller has mu.
func (sl *slot) maxSessions() int {
	most := sl.srv.cfg.Limits.Sessions
	if sl.daemon != nil && sl.daemon.maxSessions > 0 && (most == 0 || sl.daemon.maxSessions < most) {
		most = sl.daemon.maxSessions
	}
	return most
}

// live counts the sessions that are not over. The caller has mu.
func (sl *slot) live() int {
	n := 0
	for _, s := range sl.sessions {
		if s.state != stateClosed {
			n++
		}
	}
	return n
}

// open starts the session of a client that has been upgraded.
func (sl *slot) open(s *session, c *client) {
	var eff effects
	sl.mu.Lock()
	s.client = c
	e := clientOpensDaemonOff
	if sl.daemon != nil {
		e = clientOpensDaemonOn
		sl.daemon.told.forget(s.id)
	}
	sl.fire(s, e, &eff)
	sl.mu.Unlock()
	eff.flush()
}

// event applies an event to one session.
func (sl *slot) event(s *session, e event) {
	var eff effects
	sl.mu.Lock()
	sl.fire(s, e, &eff)
	sl.mu.Unlock()
	eff.flush()
}

// remove ends a session whose client is gone. Its id is free for another client from now on: what the daemon has been told
// goes to it before that client's first frame (trunk).
func (sl *slot) remove(s *session) {
	var eff effects
	sl.mu.Lock()
	sl.fire(s, clientCloses, &eff)
	delete(sl.sessions, s.id)
	sl.srv.stats.sessions[s.state].Add(-1)
	sl.mu.Unlock()
	eff.flush()
}

// toDaemon returns the daemon to which a client's frame goes now; nil if the session is not paired.
func (sl *slot) toDaemon(s *session) *daemon {
	sl.mu.RLock()
	defer sl.mu.RUnlock()
	if s.state != statePaired {
		return nil
	}
	return sl.daemon
}

// signal applies a daemon's Signal; false if it is about a session that is over or was never here.
func (sl *slot) signal(d *daemon, id sbrp.SessionID, e event) bool {
	var eff effects
	sl.mu.Lock()
	s := sl.lookup(d, id)
	if s != nil {
		sl.fire(s, e, &eff)
	}
	sl.mu.Unlock()
	eff.flush()
	return s != nil
}

// lookup returns d's session; nil if it is over or was never here, or if d has been replaced. The caller has mu.
func (sl *slot) lookup(d *daemon, id sbrp.SessionID) *session {
	s := sl.sessions[id]
	if s == nil || s.state == stateClosed || s.state == stateNone || sl.daemon != d {
		return nil
	}
	return s
}

// toClient returns the session for a frame from d. known is false if the session is over, was never here, or d has been
// replaced; a session that is known but not paired takes no frames.
func (sl *slot) toClient(d *daemon, id sbrp.SessionID) (s *session, known, paired bool) {
	sl.mu.RLock()
	defer sl.mu.RUnlock()
	if s = sl.lookup(d, id); s == nil {
		return nil, false, false
	}
	return s, true, s.state == statePaired
}

// accept queues a session's first HandshakeAccept for its client, whom the caller kicks. It is one step with noting it: what
// befalls the daemon is told to the client as its end before that frame, and as a pause after it. false: the session is over, or
// d has been replaced.
func (sl *slot) accept(d *daemon, s *session, msg []byte) bool {
	sl.mu.RLock()
	defer sl.mu.RUnlock()
	if sl.lookup(d, s.id) != s || s.state != statePaired {
		return false
	}
	s.client.out.push(msg)
	s.accepted.Store(true)
	return true
}

// tellEnded tells d that session id is over, once for each id.
func (sl *slot) tellEnded(d *daemon, id sbrp.SessionID) {
	sl.mu.Lock()
	tell := sl.daemon == d && d.told.add(id)
	if tell {
		d.out.push(forDaemon(id, sbrp.CodeSessionEnded))
	}
	sl.mu.Unlock()
	if tell {
		d.out.kick()
	}
}
