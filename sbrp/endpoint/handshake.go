package endpoint

import (
	"fmt"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// shakeHands is a handshake worker of one WebSocket: it computes the answers to
// HandshakeInits and writes them, so that neither holds up the reader. It
// returns when the WebSocket is lost.
func (d *Daemon) shakeHands(u *uplink, daemonID string, inits <-chan hello) {
	for {
		select {
		case <-u.lost:
			return
		case h := <-inits:
			d.shake(u, daemonID, h)
		}
	}
}

// shake is the daemon's side of one handshake (section 3).
func (d *Daemon) shake(u *uplink, daemonID string, h hello) {
	if time.Since(h.at) > d.cfg.HandshakeTimeout {
		d.refuse(u, h.id, sbrp.ReasonError)
		return
	}
	// client -> daemon: HandshakeInit(clientEph); derive keys, sign
	accept, keys, err := e2ee.Respond(d.cfg.Identity, daemonID, h.init[:], d.cfg.Layout)
	if err != nil {
		d.cfg.Logger.Debug("refused handshake", "session", h.id.String(), "err", err)
		d.refuse(u, h.id, sbrp.ReasonError)
		return
	}
	s, reason := d.admit(u, h.id, keys)
	if s == nil {
		keys.Wipe()
		if reason == sbrp.ReasonNone {
			d.stats.handshakesRepeated.Add(1)
		} else {
			d.refuse(u, h.id, reason)
		}
		return
	}
	// daemon -> client: HandshakeAccept. The session is there to be found already:
	// the client's first Data may come before this write returns.
	frame := sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, h.id, accept)
	err = u.write(frame, s.done)
	if err == nil && time.Since(h.at) > d.cfg.HandshakeTimeout {
		err = &sbrp.Error{Code: sbrp.CodeHandshakeTimeout, SessionID: h.id, Detail: fmt.Sprintf("the answer could not be written within %v", d.cfg.HandshakeTimeout)}
		r := sbrp.ReasonError
		d.end(s, evTimeout, err, &r)
	}
	if err != nil {
		d.stats.handshakesRefused.Add(1)
		d.end(s, evLost, err, nil)
		s.retire()
		return
	}
	if ok, _ := s.step(evAccepted, nil, nil); !ok {
		s.retire() // it was ended meanwhile
		return
	}
	if u.isLost() {
		s.parted(u, time.Now().Add(d.cfg.Grace+graceMargin))
		d.recheckDeadlines()
	}
	d.stats.handshakes.Add(1)
	d.accepts.Go(func() {
		defer func() { _ = s.Close("") }() // always nil
		d.cfg.Accept(s)
	})
}

// admit makes the session and lets the reader find it. Without a session the
// reason is that of the refusal, none for a repeated HandshakeInit.
func (d *Daemon) admit(u *uplink, id sbrp.SessionID, keys *e2ee.Session) (*Session, sbrp.Reason) {
	s := newSession(id, sbrp.RoleDaemon, d.cfg.Logger)
	s.dm, s.keys, s.link = d, keys, u
	s.step(evOpen, nil, nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.sessions[id] != nil:
		return nil, sbrp.ReasonNone
	case len(d.sessions) >= d.cfg.MaxSessions:
		return nil, sbrp.ReasonPolicy
	}
	d.sessions[id] = s
	return s, sbrp.ReasonNone
}
