package main

import (
	"strings"

	"culvert/service"
)

// waits learns from the events of a long-running command what it waits for. It is not for
// concurrent use: a sink is called by one at a time.
type waits struct {
	up        map[string]bool            // daemons that have been reached
	listening map[string]map[string]bool // local addresses by daemon
}

// Keys of waits: a daemon's link, a forward's target, and the relay of an exposure.
func linkKey(daemon string) string { return "link " + daemon }

const relayKey = "relay"

// askingKey is of a question to the control plane, or of what it has to lead to.
const askingKey = "asking"

const targetPrefix = "target "

func targetKey(e service.Event) string { return targetPrefix + path(e) + " " + e.Addr }

// bindKey is of a forward that has no local address yet.
func bindKey(e service.Event) string { return "bind " + path(e) }

// connecting begins the wait for a daemon.
func (p *printer) connecting(daemon string) { p.wait(linkKey(daemon), "connecting to "+daemon) }

// follow begins and ends waits as an event says.
func (p *printer) follow(e service.Event) {
	w := &p.waits
	if w.up == nil {
		w.up, w.listening = map[string]bool{}, map[string]map[string]bool{}
	}
	switch e.Event {
	case service.EventListening:
		if w.listening[e.Daemon] == nil {
			w.listening[e.Daemon] = map[string]bool{}
		}
		w.listening[e.Daemon][e.Addr] = true
		p.done(bindKey(e))
		if !w.up[e.Daemon] {
			p.connecting(e.Daemon)
		}
	case service.EventReady:
		w.up[e.Daemon] = true
		p.done(linkKey(e.Daemon))
		p.done(targetKey(e))
	case service.EventTargetUnavailable:
		w.up[e.Daemon] = true
		p.done(linkKey(e.Daemon))
		p.wait(targetKey(e), "waiting for "+path(e)+because(plain(e.Code)))
	case service.EventHeld:
		if e.Daemon != "" { // clients that are away are nothing to wait for
			p.wait(linkKey(e.Daemon), connections(e.Connections)+" held, waiting for "+e.Daemon+because(e.Reason))
		}
	case service.EventResumed:
		p.done(linkKey(e.Daemon))
	case service.EventLost:
		w.up[e.Daemon] = false
		p.connecting(e.Daemon)
	case service.EventClosed:
		w.closed(p, e)
	case service.EventOnline:
		p.done(relayKey)
	case service.EventOffline:
		p.wait(relayKey, "waiting for the relay"+because(plain(or(e.Code, e.Reason))))
	case service.EventError:
		p.followError(e)
	}
}

// onTheWay has the codes that would say of a daemon what is meant of the way to it.
var onTheWay = map[string]string{"unreachable": "relay unreachable", "timeout": "no answer"}

// followError begins the wait for what is tried again.
func (p *printer) followError(e service.Event) {
	switch {
	case e.Daemon == "" && e.Final:
		p.done(relayKey)
	case e.Daemon == "":
	case e.Final:
		p.done(linkKey(e.Daemon))
	case e.Target != "":
		p.wait(bindKey(e), "waiting for a local address for "+path(e)+because(plain(e.Code)))
	default:
		p.wait(linkKey(e.Daemon), "waiting for "+e.Daemon+because(plain(or(onTheWay[e.Code], e.Code))))
	}
}

// closed forgets a forward, and with the last one of a daemon the wait for that.
func (w *waits) closed(p *printer, e service.Event) {
	p.done(bindKey(e))
	p.done(targetKey(e))
	delete(w.listening[e.Daemon], e.Addr)
	if len(w.listening[e.Daemon]) == 0 {
		delete(w.up, e.Daemon)
		p.done(linkKey(e.Daemon))
	}
}

// plain is a code for people.
func plain(code string) string { return strings.ReplaceAll(code, "_", " ") }
