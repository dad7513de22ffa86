package relay

import (
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// daemon is one WebSocket of a daemon. Its goroutine (run) reads, and serves all its clients: it waits for none of them.
type daemon struct {
	srv         *Server
	conn        *wsconn.Conn
	slot        *slot
	reader      *reader
	out         *trunk
	resume      bool // scope session:resume
	maxSessions int  // of its token; 0: no limit
	told        told // guarded by slot.mu
}

func newDaemon(srv *Server, conn *wsconn.Conn, r *reader, sl *slot, claims token.Claims) *daemon {
	d := &daemon{
		srv: srv, conn: conn, reader: r, slot: sl, out: newTrunk(srv, conn),
		resume: claims.HasScope(token.ScopeSessionResume), maxSessions: claims.MaxSessions,
	}
	r.start(conn, srv.cfg.Limits.Daemon, &srv.stats, d.tooFast)
	return d
}

// tooFast tells the daemon that it is slowed down.
func (d *daemon) tooFast() {
	d.out.push(sbrp.AppendControl(nil, 0, sbrp.CodeRateLimited, codeTexts[sbrp.CodeRateLimited]))
	d.out.kick()
}

// run serves the daemon until its connection has ended. It calls attached once its clients find it.
func (d *daemon) run(attached func()) {
	d.srv.stats.daemons.Add(1)
	defer d.srv.stats.daemons.Add(-1)
	d.srv.track(d)
	defer d.srv.untrack(d)
	d.slot.attach(d)
	attached()
	defer d.out.abandon()
	// Before that: the sessions are paused at once, and not when a daemon that does not answer has been said good-bye to.
	defer d.slot.detach(d)
	defer d.srv.recovered(d.fail)
	if e, ok := d.reader.read(d.frame); ok {
		d.out.finish(e)
	}
}

func (d *daemon) fail() { d.out.finish(endWith(sbrp.CodeInternalError, 0)) }

func (d *daemon) shutdown() {
	if d.srv.cfg.Others {
		d.out.finish(endMoved)
	} else {
		d.out.finish(endShutdown)
	}
}

func (d *daemon) kick()                              { d.out.kick() }
func (d *daemon) cut()                               { d.conn.CloseNow() }
func (d *daemon) ping()                              { d.conn.PingWS() }
func (d *daemon) stuck(now time.Time) time.Duration  { return d.reader.stuck(now) }
func (d *daemon) silent(now time.Time) time.Duration { return d.reader.silent(now) }

// frame handles one message. An error that is not nil ends the daemon's connection with its code; what concerns one session
// never does that (spec section 5).
func (d *daemon) frame(msg []byte) error {
	f, err := sbrp.ParseFrame(msg)
	if err != nil {
		return err
	}
	if err := sbrp.CheckSender(f, sbrp.RoleDaemon, 0); err != nil {
		return err
	}
	switch f.Type {
	case sbrp.FramePing:
		d.out.push(sbrp.AppendPong(nil, f.Payload))
		d.out.kick()
	case sbrp.FramePong: // an answer to nothing that we asked; it has shown life
	case sbrp.FrameSignal:
		return d.signal(f)
	case sbrp.FrameHandshakeAccept, sbrp.FrameData:
		d.forward(f, msg)
	default:
		return errUnhandled
	}
	return nil
}

// signal handles a Signal frame.
func (d *daemon) signal(f sbrp.Frame) error {
	signal, _, err := sbrp.ParseSignal(f.Payload)
	if err != nil {
		return err
	}
	e := signalReady
	if signal == sbrp.SignalClose {
		e = signalClose
	}
	if !d.slot.signal(d, f.SessionID, e) {
		d.unknown(f.SessionID)
	}
	return nil
}

// forward sends the same bytes to the client.
func (d *daemon) forward(f sbrp.Frame, msg []byte) {
	s, known, paired := d.slot.toClient(d, f.SessionID)
	switch {
	case !known:
		d.unknown(f.SessionID)
		return
	case !paired:
		d.srv.discard(discardNotPaired)
		return
	case f.Type == sbrp.FrameHandshakeAccept && !s.initiated.Load():
		d.srv.discard(discardHandshake)
		return
	case f.Type == sbrp.FrameHandshakeAccept && !s.accepted.Load():
		d.accept(s, msg)
		return
	}
	switch s.client.out.send(msg) {
	case full:
		s.client.out.finish(endWith(sbrp.CodeBackpressure, 0))
		s.client.out.kick()
		d.slot.event(s, clientCloses)
		return
	case closed:
		d.srv.discard(discardUnknown)
		return
	}
	d.srv.stats.toClient.add(len(msg))
}

// accept sends a session's first HandshakeAccept to its client.
func (d *daemon) accept(s *session, msg []byte) {
	if !d.slot.accept(d, s, msg) {
		d.srv.discard(discardUnknown)
		return
	}
	d.srv.stats.toClient.add(len(msg))
	d.srv.stats.handshakes.Add(1)
	s.client.handshake.Stop()
	s.client.out.kick()
}

// unknown handles a frame for a session that is over, or was never here.
func (d *daemon) unknown(id sbrp.SessionID) {
	d.srv.discard(discardUnknown)
	d.slot.tellEnded(d, id)
}
