package sbrptest

import (
	"maps"
	"slices"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// Script sets what becomes of endpoint frames: f returns the messages that take
// the frame's place, in order: none drops it, two repeat it, an earlier one that
// it kept reorders. It is called from the goroutines of several connections, with
// no lock held, and may call the relay's methods. nil forwards everything.
func (r *Relay) Script(f func(Passage) [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = f
}

// Refuse sets who is turned away before the upgrade: f returns nil for those that
// may come. nil lets everybody in.
func (r *Relay) Refuse(f func(role sbrp.Role, token string) *Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = f
}

// Mute stops the relay's own session hints (paused, pending, resumed, ended), so
// that a script can give wrong ones.
func (r *Relay) Mute(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mute = on
}

// Deaf stops the relay's answers to Pings.
func (r *Relay) Deaf(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = on
}

// Restart cuts every connection and forgets every session, as a relay that was
// killed and started again. Nobody is told anything.
func (r *Relay) Restart() {
	r.mu.Lock()
	all := slices.Collect(maps.Keys(r.parties))
	for _, p := range all {
		p.silent = true
		thaw(p)
	}
	clear(r.daemons)
	clear(r.sessions)
	r.wake()
	r.mu.Unlock()
	for _, p := range all {
		p.conn.CloseNow()
	}
}

// thaw ends a freeze; mu is held.
func thaw(p *party) {
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// daemon and client find a party; nil if it is not connected.
func (r *Relay) daemon(id string) *party { return r.daemons[id] }

func (r *Relay) client(id sbrp.SessionID) *party {
	if s := r.sessions[id]; s != nil {
		return s.client
	}
	return nil
}

// with calls f on a party under the lock, and reports whether there is one.
func (r *Relay) with(find func() *party, f func(*party)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := find()
	if p == nil {
		return false
	}
	f(p)
	return true
}

// CutDaemon cuts a daemon's connection; its sessions are paused.
func (r *Relay) CutDaemon(id string) bool {
	var conn Conn
	ok := r.with(func() *party { return r.daemon(id) }, func(p *party) { conn = p.conn; thaw(p) })
	if ok {
		conn.CloseNow()
	}
	return ok
}

// MoveDaemon ends a daemon's connection as a relay does that is not its place any more.
func (r *Relay) MoveDaemon(id string) bool {
	var conn Conn
	ok := r.with(func() *party { return r.daemon(id) }, func(p *party) { conn = p.conn; thaw(p) })
	if ok {
		conn.Close(wsconn.StatusMoved, "")
	}
	return ok
}

// CutClient cuts a client's connection; its session ends.
func (r *Relay) CutClient(id sbrp.SessionID) bool {
	var conn Conn
	ok := r.with(func() *party { return r.client(id) }, func(p *party) { conn = p.conn; thaw(p) })
	if ok {
		conn.CloseNow()
	}
	return ok
}

// SilenceDaemon makes a daemon's path lose everything both ways, with no sign.
func (r *Relay) SilenceDaemon(id string, on bool) bool {
	return r.with(func() *party { return r.daemon(id) }, func(p *party) { p.silent = on })
}

// SilenceClient does the same to a client's path.
func (r *Relay) SilenceClient(id sbrp.SessionID, on bool) bool {
	return r.with(func() *party { return r.client(id) }, func(p *party) { p.silent = on })
}

// FreezeDaemon stops reading from a daemon, so that its writes block in the end;
// off reads on. The message being read at that moment still counts as read.
func (r *Relay) FreezeDaemon(id string, on bool) bool {
	return r.with(func() *party { return r.daemon(id) }, func(p *party) { freeze(p, on) })
}

// FreezeClient does the same to a client.
func (r *Relay) FreezeClient(id sbrp.SessionID, on bool) bool {
	return r.with(func() *party { return r.client(id) }, func(p *party) { freeze(p, on) })
}

// freeze sets or ends a freeze; mu is held.
func freeze(p *party, on bool) {
	if !on {
		thaw(p)
	} else if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// TellClient sends a client a Control frame, true or not.
func (r *Relay) TellClient(id sbrp.SessionID, c sbrp.Code) bool {
	return r.InjectClient(id, sbrp.AppendControl(nil, scope(id, c), c, "from a script"))
}

// TellDaemon sends a daemon a Control frame about a session, true or not.
func (r *Relay) TellDaemon(daemon string, id sbrp.SessionID, c sbrp.Code) bool {
	return r.InjectDaemon(daemon, sbrp.AppendControl(nil, scope(id, c), c, "from a script"))
}

// scope is the SessionID that a code goes with.
func scope(id sbrp.SessionID, c sbrp.Code) sbrp.SessionID {
	if c.SessionScoped() {
		return id
	}
	return 0
}

// InjectClient sends a client any message.
func (r *Relay) InjectClient(id sbrp.SessionID, message []byte) bool {
	var conn Conn
	return r.with(func() *party { return r.client(id) }, func(p *party) { conn = p.conn }) && conn.Write(message) == nil
}

// InjectDaemon sends a daemon any message.
func (r *Relay) InjectDaemon(id string, message []byte) bool {
	var conn Conn
	return r.with(func() *party { return r.daemon(id) }, func(p *party) { conn = p.conn }) && conn.Write(message) == nil
}

// Forget drops a session as after its grace: its client, if there is one, hears
// session_expired.
func (r *Relay) Forget(id sbrp.SessionID) {
	r.mu.Lock()
	s := r.sessions[id]
	delete(r.sessions, id)
	var out []parting
	if s != nil {
		out = control(s.client, id, sbrp.CodeSessionExpired, true)
	}
	r.wake()
	r.mu.Unlock()
	r.send(out)
}

// Online reports whether a daemon is connected.
func (r *Relay) Online(id string) bool {
	return r.with(func() *party { return r.daemon(id) }, func(*party) {})
}

// Holds reports whether the relay has the session.
func (r *Relay) Holds(id sbrp.SessionID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id] != nil
}

// Signals returns the Signals that daemons sent, in order.
func (r *Relay) Signals() []Signaled {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.signals)
}

// PresenceTokens returns the tokens that daemons came with, refused ones too.
func (r *Relay) PresenceTokens() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tokens)
}
