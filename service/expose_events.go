package service

import (
	"context"
	"time"

	"culvert/mux"
	"culvert/sbrp/endpoint"
)

// drop is the last time that something was held, and why.
type drop struct {
	at     time.Time
	reason string
}

// observe turns links' lives into events.
func (x *exposure) observe(e mux.Event) {
	out := Event{Time: e.Time, Client: e.Peer.Name, Fingerprint: keyOf(e.Peer).Fingerprint().String()}
	out.Reason = reasonText(e.Reason)
	x.acts.link(e)
	x.m.log.Info("link "+e.Kind.String(), "client", e.Peer.Name, "link", e.Link.String(), "reason", e.Reason)
	switch e.Kind {
	case mux.EventConnected:
		out.Event = EventClientConnected
	case mux.EventLost, mux.EventClosed:
		out.Event = EventClientDisconnected
	case mux.EventHeld:
		out.Event, out.Connections = EventHeld, new(e.Streams)
	case mux.EventResumed:
		out.Event, out.After, out.Kept, out.Lost = EventResumed, e.After, new(e.Kept), new(e.Lost)
	}
	x.mu.Lock()
	switch e.Kind {
	case mux.EventHeld:
		x.drops[e.Link] = drop{e.Time, out.Reason}
	case mux.EventLost, mux.EventClosed:
		delete(x.drops, e.Link)
	}
	x.mu.Unlock()
	x.sink(out)
}

// state tells whether the relay is connected: when that changes, and when the reason why
// it is not does.
func (x *exposure) state(s endpoint.DaemonState) {
	out := Event{Time: time.Now(), Event: EventOnline, Relay: s.Relay}
	var e *Error
	if !s.Online {
		x.net.forget() // where the relay was lost, kept HTTP connections cannot be trusted
	}
	if s.Err != nil {
		e = classify(s.Err)
		x.m.log.Info("relay", "online", s.Online, "code", e.Name, "err", s.Err)
	}
	x.mu.Lock()
	x.tried.note(s.Relay, s.Err, out.Time)
	id, was, told := x.presence.DaemonID, x.online, x.offlineCode
	out.Name = x.name
	if x.online = s.Online; was != s.Online {
		x.since = out.Time
	}
	switch {
	case s.Online:
		x.offlineCode, x.offline = CodeOK, nil
	case e != nil:
		x.offlineCode, x.offline = e.Code, e
	}
	news := s.Online || was || x.offlineCode != told
	x.mu.Unlock()
	switch {
	case s.Online:
		out.DaemonID, out.Fingerprint = id, x.m.identity.PublicKey().Fingerprint().String()
		x.sink(out)
		x.ready.Do(x.started)
	case news:
		out.Event, out.Relay = EventOffline, ""
		if e != nil {
			out.Reason, out.Code, out.Mend = reasonText(s.Err), e.Name, e.Mend
		}
		x.sink(out)
	}
}

// started runs when the daemon is online for the first time.
func (x *exposure) started() {
	if x.o.Pair {
		x.tellPairingCode()
	}
	if x.o.Ready != nil {
		x.o.Ready()
	}
}

func (x *exposure) tellPairingCode() {
	// Detached: it belongs to no call of the endpoint's, and is bounded by the HTTP timeouts.
	ctx, cancel := context.WithTimeout(context.Background(), 2*dialTimeout)
	defer cancel()
	p, _ := x.lastPresence()
	code, err := x.m.makePairing(ctx, x.api, p.DaemonID, PairOptions{Common: x.o.Common}, maxPairTTL)
	if err != nil {
		e := classify(err)
		x.sink(Event{Time: time.Now(), Event: EventError, Code: e.Name, Message: e.Error(), Mend: e.Mend})
		return
	}
	told := Event{Time: time.Now(), Event: EventPairingCode, PairingCode: code.Code, ExpiresAt: code.ExpiresAt}
	if e, err := x.m.enrolled(); err == nil {
		told.URL = e.URL
	}
	x.sink(told)
}
