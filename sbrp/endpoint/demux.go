package endpoint

import (
	"fmt"
	"slices"
	"time"

	"culvert/sbrp"
)

// read is the reader of a daemon's WebSocket. It looks at headers, puts frames
// into the queues of their sessions and never waits for anything but the
// socket: not for a session, not for a cipher, not for a write.
func (d *Daemon) read(u *uplink, inits chan<- hello) {
	buf := newBuffer(readBuffer)
	defer func() { buf.release() }()
	malformed := 0
	for {
		n, err := u.read(buf.b)
		if err != nil {
			u.fail(fmt.Errorf("read from relay: %w", err))
			return
		}
		f, err := sbrp.ParseFrame(buf.b[:n])
		if err != nil {
			// Messages keep their borders, so one bad message says nothing about the
			// next; but a relay that goes on like this does not speak SBRP.
			d.stats.malformed.Add(1)
			if malformed++; malformed >= malformedLimit {
				u.fail(fmt.Errorf("read from relay: %d messages are no frames, the last: %w", malformed, err))
				return
			}
			continue
		}
		if f.Type == sbrp.FrameData {
			buf = d.deliver(u, f, buf, n)
			continue
		}
		d.route(u, f, inits)
	}
}

// route deals with a frame that is not Data.
func (d *Daemon) route(u *uplink, f sbrp.Frame, inits chan<- hello) {
	switch f.Type {
	case sbrp.FrameHandshakeInit:
		d.greet(u, f, inits)
	case sbrp.FramePing:
		if !u.out.addPong(f.Payload) {
			d.stats.pongsDropped.Add(1)
		}
	case sbrp.FramePong:
		// That something came is all that is asked of it.
	case sbrp.FrameControl:
		d.control(u, f)
	default:
		d.stats.misdirected.Add(1) // HandshakeAccept, Signal: nobody sends them to a daemon
	}
}

// deliver puts a Data frame, which is buf.b[:n], into its session's queue. It
// returns the buffer to read the next frame into.
func (d *Daemon) deliver(u *uplink, f sbrp.Frame, buf *buffer, n int) *buffer {
	s := d.lookup(f.SessionID)
	if s == nil {
		d.stats.unknownSession.Add(1)
		d.disown(u, f.SessionID)
		return buf
	}
	p, next := pack(buf, n)
	total := d.queued.Add(int64(p.held()))
	taken, room := s.queue.push(p)
	if !taken {
		d.queued.Add(-int64(p.held()))
		p.release()
	}
	switch {
	case !room:
		d.overflow(s, fmt.Sprintf("more than %d bytes or %d frames wait for it", queueBytes, queueFrames))
	case total > d.cfg.QueueBudget:
		d.relieve()
	}
	return next
}

// overflow ends a session whose client sent more than may wait. The reader must
// not wait for it: that would stall every other session. An honest client never
// gets here, because the link above bounds what may be on the way.
func (d *Daemon) overflow(s *Session, detail string) {
	d.stats.overflows.Add(1)
	r := sbrp.ReasonPolicy
	d.end(s, evClose, fmt.Errorf("end session: receive queue is full: %s", detail), &r)
}

// relieve ends the session that holds most of the queue budget.
func (d *Daemon) relieve() {
	all := d.snapshot()
	if len(all) == 0 {
		return // what is held belongs to sessions that have ended, and is being read
	}
	worst := slices.MaxFunc(all, func(a, b *Session) int { return a.queue.held() - b.queue.held() })
	d.overflow(worst, fmt.Sprintf("%d bytes wait for all sessions, and most for this", d.queued.Load()))
}

// disown tells the relay, once, that a session it thinks alive is not here: its
// client then need not find out by itself. Frames that were on the way when this
// side ended a session are not answered: the relay knows of that end. When the
// relay said it and the client goes on all the same, its end has not heard it.
func (d *Daemon) disown(u *uplink, id sbrp.SessionID) {
	d.mu.Lock()
	unknown := d.sessions[id] == nil && d.forgotten.add(id)
	d.mu.Unlock()
	if unknown {
		u.out.addRefusal(id, sbrp.ReasonStateLost)
	}
}

// control deals with a Control frame at the daemon.
func (d *Daemon) control(u *uplink, f sbrp.Frame) {
	code, text, err := sbrp.ParseControl(f.Payload)
	if err != nil || !code.Known() {
		d.stats.unknownControls.Add(1)
		d.cfg.Logger.Debug("ignored control frame", "code", code.String())
		return
	}
	ce := &sbrp.ControlError{Code: code, SessionID: f.SessionID, Text: text}
	switch {
	case code == sbrp.CodeRateLimited:
		d.stats.rateLimited.Add(1)
		u.limited()
	case f.SessionID == 0 && code.Terminal() && !code.SessionScoped(), code == sbrp.CodeDisallowedSender:
		u.fail(ce) // the relay closes the WebSocket after it; so do we
	case f.SessionID == 0:
		d.stats.misdirected.Add(1) // about a session, and does not say which
	case code == sbrp.CodeSessionPending:
		d.pending(u, f.SessionID)
	case code == sbrp.CodeSessionEnded, code.Terminal():
		// One session's end must never close the WebSocket of all (section 5).
		if s := d.lookup(f.SessionID); s != nil {
			d.end(s, evEnded, ce, nil)
		} else {
			d.stats.unknownSession.Add(1)
		}
	default:
		d.stats.misdirected.Add(1) // session_paused and session_resumed are for clients
	}
}

// pending answers the relay's word that it holds a session for us (section 6):
// ready if it is here and fit, else that its state is lost.
func (d *Daemon) pending(u *uplink, id sbrp.SessionID) {
	s := d.lookup(id)
	if s == nil {
		d.mu.Lock()
		d.forgotten.add(id)
		d.mu.Unlock()
		d.signal(u, id, sbrp.SignalClose, sbrp.ReasonStateLost, nil)
		return
	}
	if s.State() == Handshaking {
		d.stats.misdirected.Add(1) // not a session that anybody can have paused
		return
	}
	if d.fit(s) {
		d.signal(u, id, sbrp.SignalReady, sbrp.ReasonNone, func() { s.ready(u); s.confirm() })
	}
}

// hello is a HandshakeInit that waits for a worker.
type hello struct {
	id   sbrp.SessionID
	init [sbrp.InitSize]byte
	at   time.Time
}

// greet queues a HandshakeInit for the workers. One for a session that exists is
// dropped: the running session is untouched (section 6).
func (d *Daemon) greet(u *uplink, f sbrp.Frame, inits chan<- hello) {
	d.mu.Lock()
	exists, full := d.sessions[f.SessionID] != nil, len(d.sessions) >= d.cfg.MaxSessions
	d.mu.Unlock()
	switch {
	case exists:
		d.stats.handshakesRepeated.Add(1)
		return
	case f.CheckPayload() != nil:
		d.refuse(u, f.SessionID, sbrp.ReasonError)
		return
	case full:
		d.refuse(u, f.SessionID, sbrp.ReasonPolicy)
		return
	}
	h := hello{id: f.SessionID, at: time.Now()}
	copy(h.init[:], f.Payload)
	select {
	case inits <- h:
	default:
		d.refuse(u, f.SessionID, sbrp.ReasonPolicy)
	}
}

// refuse turns a client away.
func (d *Daemon) refuse(u *uplink, id sbrp.SessionID, r sbrp.Reason) {
	d.stats.handshakesRefused.Add(1)
	u.out.addRefusal(id, r)
}
