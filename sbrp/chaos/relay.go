package chaos

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// mostSessions bounds how many sessions are remembered; with one that was forgotten what is done once is done again.
const mostSessions = 1024

// Relay is a Middle that cheats by a Spec. Whoever has served it calls Close in the end.
type Relay struct {
	*Middle
	spec *Spec
	own  *e2ee.Identity // poses as a daemon
	done chan struct{}  // closed by Close
	wg   sync.WaitGroup // lines that deliver something

	mu       sync.Mutex // guards what follows
	closed   bool
	sessions map[sbrp.SessionID]*session
	order    []sbrp.SessionID // of sessions, oldest first
	count    int              // sessions so far
	daemons  map[string]*line
}

// session is what there is to know of a session.
type session struct {
	client *line

	mu   sync.Mutex // guards what follows, so that the messages of a way meet their fates one after the other
	down way        // to the client
	up   way        // to the daemon
}

// way is one direction of a session.
type way struct {
	*stream
	hold time.Time // until when everything is held back; zero: that is to come
}

// NewRelay makes a hostile relay. It starts nothing.
func NewRelay(s *Spec) *Relay {
	r := &Relay{
		Middle: &Middle{}, spec: s, own: e2ee.GenerateIdentity(), done: make(chan struct{}),
		sessions: map[sbrp.SessionID]*session{}, daemons: map[string]*line{},
	}
	r.Deliver(r.cheat)
	return r
}

// Close cuts every WebSocket, forgets what has not been delivered, and waits until nothing is under way. It is called once,
// when the server that serves the Relay has ended.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	close(r.done)
	r.Middle.Close()
	r.wg.Wait()
}

// start runs a line, which is waited for; false: it is over.
func (r *Relay) start(run func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wg.Go(run)
	return true
}

// cheat delivers what endpoints get in the place of a message.
func (r *Relay) cheat(d Delivery) [][]byte {
	if d.SessionID == 0 {
		r.pass(r.lineTo(d.To, d), d.Message, time.Time{}) // a ping, or the relay's own word
		return nil
	}
	s := r.session(d.SessionID)
	s.mu.Lock()
	w := &s.down
	if d.To == sbrp.RoleDaemon {
		w = &s.up
	}
	f := w.meet(d)
	hold := w.holdUntil(r.spec, d)
	s.mu.Unlock()
	to, from := r.lineTo(d.To, d), r.lineTo(other(d.To), d)
	if id := r.neighbour(d); f.other && id != 0 {
		r.pass(to, Redirect(d.Frame, id), time.Time{})
	}
	for _, msg := range append(f.before, f.out...) {
		r.pass(to, msg, hold)
	}
	if f.back {
		r.pass(from, d.Message, time.Time{})
	}
	if f.pose {
		r.pose(from, d)
	}
	switch {
	case f.cut && d.To == sbrp.RoleClient:
		r.CutClient(d.SessionID)
	case f.cut:
		r.CutDaemon(d.Daemon)
	}
	return nil
}

func other(r sbrp.Role) sbrp.Role {
	if r == sbrp.RoleClient {
		return sbrp.RoleDaemon
	}
	return sbrp.RoleClient
}

// pose answers a HandshakeInit in the daemon's place. To one that no daemon would answer it says nothing either.
func (r *Relay) pose(client *line, d Delivery) {
	if accept, err := Pose(r.own, d.Daemon, d.Frame.Payload); err == nil {
		r.pass(client, sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, d.SessionID, accept), time.Time{})
	}
}

// holdUntil says until when a message is held back; zero: it is not. The session's mu is held.
func (w *way) holdUntil(s *Spec, d Delivery) time.Time {
	if s.hold == 0 || d.Frame.Type != sbrp.FrameData || s.to != 0 && s.to != d.To {
		return time.Time{}
	}
	now := time.Now()
	if w.hold.IsZero() && w.n > 1 { // the first alone would be nothing to speak of
		w.hold = now.Add(s.hold)
	}
	if now.Before(w.hold) {
		return w.hold
	}
	return time.Time{}
}

// neighbour is another session of the daemon, the one with the lowest number; zero: there is none.
func (r *Relay) neighbour(d Delivery) sbrp.SessionID {
	for _, id := range r.SessionsOf(d.Daemon) {
		if id != d.SessionID {
			return id
		}
	}
	return 0
}

// pass delivers a message, now or when it is due.
func (r *Relay) pass(l *line, msg []byte, hold time.Time) {
	if r.spec.delay == 0 && r.spec.rate == 0 && r.spec.hold == 0 {
		l.write(msg)
		return
	}
	l.add(msg, hold)
}

// session finds or begins a session.
func (r *Relay) session(id sbrp.SessionID) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil {
		return s
	}
	r.count++
	s := &session{
		client: newLine(r.spec, r.count, func(msg []byte) { r.ToClient(id, msg) }, r.start, r.done), // who has gone gets nothing
		down:   way{stream: newStream(r.spec, r.count, sbrp.RoleClient)},
		up:     way{stream: newStream(r.spec, r.count, sbrp.RoleDaemon)},
	}
	r.sessions[id] = s
	if r.order = append(r.order, id); len(r.order) > mostSessions {
		delete(r.sessions, r.order[0])
		r.order = slices.Delete(r.order, 0, 1)
	}
	return s
}

// lineTo is the way to an end of a message's session.
func (r *Relay) lineTo(end sbrp.Role, d Delivery) *line {
	if end == sbrp.RoleClient {
		return r.session(cmp.Or(d.SessionID, d.Client)).client
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.daemons[d.Daemon]
	if l == nil {
		l = newLine(r.spec, 1<<20+len(r.daemons), func(msg []byte) { r.ToDaemon(d.Daemon, msg) }, r.start, r.done)
		r.daemons[d.Daemon] = l
	}
	return l
}
