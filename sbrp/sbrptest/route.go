package sbrptest

import (
	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// join makes conn a party. With it comes one count of wg, which the caller gives
// back. It returns nil, and has closed conn, if the relay is closed.
func (r *Relay) join(conn Conn, token string) *party {
	role, daemon, id, _, _ := decode(token) // checked before the upgrade
	p := &party{conn: conn, role: role, daemon: daemon, id: id}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		conn.CloseNow()
		return nil
	}
	r.wg.Add(1)
	r.parties[p] = struct{}{}
	var out []parting
	if role == sbrp.RoleDaemon {
		out = r.daemonJoins(p)
	} else {
		out = r.clientJoins(p)
	}
	r.wake()
	r.mu.Unlock()
	r.send(out)
	return p
}

// parting is something to be written, or to be closed, after mu was let go.
type parting struct {
	to    *party
	frame []byte
	close bool // afterwards
}

func (r *Relay) send(out []parting) {
	for _, o := range out {
		if o.frame != nil {
			_ = o.to.conn.Write(o.frame) // a party that has gone is noticed by its reader
		}
		if o.close {
			r.wg.Go(func() { o.to.conn.Close(wsconn.StatusPolicy, "") }) // may take seconds; its reader ends with it
		}
	}
}

// control makes a Control frame for p, if p is there and not silent; mu is held.
func control(p *party, id sbrp.SessionID, c sbrp.Code, closing bool) []parting {
	if p == nil || p.silent {
		return nil
	}
	return []parting{{to: p, frame: sbrp.AppendControl(nil, id, c, "from a script"), close: closing}}
}

// daemonJoins: the newest wins; held sessions become pending. mu is held.
func (r *Relay) daemonJoins(p *party) (out []parting) {
	if old := r.daemons[p.daemon]; old != nil {
		out = append(out, parting{to: old, close: true})
		out = append(out, r.daemonLeaves(old)...)
	}
	r.daemons[p.daemon] = p
	for id, s := range r.sessions {
		if s.daemon != p.daemon || !s.paused || s.pending {
			continue
		}
		s.pending = true
		if !r.mute {
			out = append(out, control(s.client, id, sbrp.CodeSessionPending, false)...)
			out = append(out, control(p, id, sbrp.CodeSessionPending, false)...)
		}
	}
	return out
}

// daemonLeaves: its sessions are paused, or gone if they were not accepted. mu
// is held.
func (r *Relay) daemonLeaves(p *party) (out []parting) {
	if r.daemons[p.daemon] != p {
		return nil
	}
	delete(r.daemons, p.daemon)
	for id, s := range r.sessions {
		if s.daemon != p.daemon {
			continue
		}
		if !s.accepted {
			out = append(out, control(s.client, id, sbrp.CodeDaemonOffline, true)...)
			delete(r.sessions, id)
			continue
		}
		s.pending = false
		if !s.paused && !r.mute {
			out = append(out, control(s.client, id, sbrp.CodeSessionPaused, false)...)
		}
		s.paused = true
	}
	return out
}

// clientJoins binds a session, or says daemon_offline. mu is held.
func (r *Relay) clientJoins(p *party) []parting {
	if r.daemons[p.daemon] == nil {
		return control(p, p.id, sbrp.CodeDaemonOffline, true)
	}
	r.sessions[p.id] = &session{client: p, daemon: p.daemon}
	return nil
}

// clientLeaves ends its session. mu is held.
func (r *Relay) clientLeaves(p *party) []parting {
	s := r.sessions[p.id]
	if s == nil || s.client != p {
		return nil
	}
	delete(r.sessions, p.id)
	if r.mute || (s.paused && !s.pending) {
		return nil
	}
	return control(r.daemons[s.daemon], p.id, sbrp.CodeSessionEnded, false)
}

// run reads one party until it is gone.
func (r *Relay) run(p *party) {
	buf := make([]byte, sbrp.MaxFrame+1)
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			break
		}
		r.mu.Lock()
		frozen := p.frozen
		r.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		r.send(r.route(p, append([]byte(nil), buf[:n]...)))
	}
	p.conn.CloseNow()
	r.mu.Lock()
	delete(r.parties, p)
	var out []parting
	if p.role == sbrp.RoleDaemon {
		out = r.daemonLeaves(p)
	} else {
		out = r.clientLeaves(p)
	}
	r.wake()
	r.mu.Unlock()
	r.send(out)
}

// route decides on one message, by script and by rule.
func (r *Relay) route(p *party, msg []byte) (out []parting) {
	f, err := sbrp.ParseFrame(msg)
	r.mu.Lock()
	if p.silent {
		r.mu.Unlock()
		return nil
	}
	script := r.script
	w := way{f.SessionID, p.role}
	pass := Passage{From: p.role, SessionID: f.SessionID, N: r.counts[w], Frame: f, Message: msg}
	if err == nil {
		r.counts[w]++
	}
	r.mu.Unlock()
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		return control(p, 0, sbrp.CodeMalformedFrame, true)
	}
	messages := [][]byte{msg}
	if script != nil {
		messages = script(pass) // with no lock: it may cut and tell
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.wake()
	for _, m := range messages {
		if g, err := sbrp.ParseFrame(m); err == nil {
			out = append(out, r.pass(p, g, m)...)
		}
	}
	return out
}

// pass lets one frame through; mu is held.
func (r *Relay) pass(p *party, f sbrp.Frame, msg []byte) []parting {
	switch f.Type {
	case sbrp.FramePing:
		if r.deaf {
			return nil
		}
		return []parting{{to: p, frame: sbrp.AppendPong(nil, f.Payload)}}
	case sbrp.FrameSignal:
		return r.signal(f)
	case sbrp.FrameHandshakeInit, sbrp.FrameHandshakeAccept, sbrp.FrameData:
	default:
		return nil
	}
	s := r.sessions[f.SessionID]
	switch {
	case s == nil && p.role == sbrp.RoleDaemon:
		if r.mute {
			return nil
		}
		return control(p, f.SessionID, sbrp.CodeSessionEnded, false)
	case s == nil:
		return control(p, f.SessionID, sbrp.CodeSessionNotFound, true)
	case s.paused && p.role == sbrp.RoleClient:
		return nil
	}
	to := s.client
	if p.role == sbrp.RoleClient {
		to = r.daemons[s.daemon]
	}
	if f.Type == sbrp.FrameHandshakeAccept {
		s.accepted = true
	}
	if to == nil || to.silent {
		return nil
	}
	return []parting{{to: to, frame: msg}}
}

// signal is a daemon's word on a session; mu is held.
func (r *Relay) signal(f sbrp.Frame) []parting {
	sig, reason, err := sbrp.ParseSignal(f.Payload)
	if err != nil {
		return nil
	}
	r.signals = append(r.signals, Signaled{f.SessionID, sig, reason})
	s := r.sessions[f.SessionID]
	switch {
	case s == nil:
		if r.mute {
			return nil
		}
		return control(r.anyDaemon(), f.SessionID, sbrp.CodeSessionEnded, false)
	case sig == sbrp.SignalClose:
		delete(r.sessions, f.SessionID)
		return control(s.client, f.SessionID, sbrp.CodeSessionExpired, true)
	case s.pending:
		s.paused, s.pending = false, false
		if r.mute {
			return nil
		}
		return control(s.client, f.SessionID, sbrp.CodeSessionResumed, false)
	default:
		return nil
	}
}

// anyDaemon returns the daemon if there is but one; mu is held.
func (r *Relay) anyDaemon() *party {
	if len(r.daemons) != 1 {
		return nil
	}
	for _, p := range r.daemons {
		return p
	}
	return nil
}
