package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"culvert/sbrp"
	"culvert/sbrp/chaos"
	"culvert/sbrp/sbrptest"
)

// relayCodes are the codes that a relay can say, the last two of which it may not: one of the endpoints' own and one that there is not.
var relayCodes = []sbrp.Code{
	sbrp.CodeUnauthorized, sbrp.CodeForbidden, sbrp.CodeDaemonNotFound, sbrp.CodeDaemonOffline, sbrp.CodeSessionNotFound,
	sbrp.CodeSessionExpired, sbrp.CodeMalformedFrame, sbrp.CodePayloadTooLarge, sbrp.CodeInvalidFrameType,
	sbrp.CodeInvalidSessionID, sbrp.CodeDisallowedSender, sbrp.CodeInternalError, sbrp.CodeRateLimited,
	sbrp.CodeBackpressure, sbrp.CodeSessionPaused, sbrp.CodeSessionResumed, sbrp.CodeSessionEnded, sbrp.CodeSessionPending,
	sbrp.CodeIdentityKeyChanged, 0x7777,
}

// controlThreats are a relay's lies about what has happened, each code at each moment.
func controlThreats() (all []threat) {
	for _, c := range relayCodes {
		all = append(all, earlyLie(c), firstLie(c), liveLie(c))
	}
	return append(all, silentLies())
}

// earlyLie is a code said before HandshakeAccept, and before the daemon's first word.
func earlyLie(c sbrp.Code) threat {
	r := threat{who: "relay", does: fmt.Sprintf("says %v before HandshakeAccept, or before the daemon's WELCOME", c), then: "a hint, and no news at that moment"}
	if c.Terminal() || c == sbrp.CodeSessionEnded {
		r.code, r.name, r.then = CodeRelay, c.String(), "tried again, unless --once"
	}
	if c == sbrp.CodeDaemonOffline || c == sbrp.CodeDaemonNotFound {
		r.code = CodeDaemon
	}
	r.act = func(a *arena) error {
		var errs []error
		for _, before := range []sbrp.FrameType{sbrp.FrameHandshakeAccept, sbrp.FrameData} {
			a.deliver(sbrp.RoleClient, before, func(d sbrptest.Delivery) [][]byte {
				out := [][]byte{chaos.Say(c, d.SessionID), d.Message}
				if c == sbrp.CodeSessionPaused || c == sbrp.CodeSessionPending {
					out = [][]byte{out[0], chaos.Say(sbrp.CodeSessionResumed, d.SessionID), out[1]}
				}
				return out
			})
			errs = append(errs, a.attempt())
		}
		return same(errs...)
	}
	return r
}

// firstLie is a code said to the daemon when it has heard nothing of a session yet, and when it has only just.
func firstLie(c sbrp.Code) threat {
	return threat{
		who: "relay", does: fmt.Sprintf("says %v to the daemon just before HandshakeInit, or just after", c), then: "costs that attempt at most", relay: quickRelay, waits: endsSession(c),
		act: func(a *arena) error {
			const daemon, init = sbrp.RoleDaemon, sbrp.FrameHandshakeInit
			return a.endure([]spoiling{
				{daemon, init, func(d sbrptest.Delivery) [][]byte { return [][]byte{chaos.Say(c, d.SessionID), d.Message} }},
				{daemon, init, func(d sbrptest.Delivery) [][]byte { return [][]byte{d.Message, chaos.Say(c, d.SessionID)} }},
			})
		},
	}
}

// endsSession tells whether a daemon that hears the code gives the session up without a word, as the relay is to have told the
// client the same: then the client finds out by itself.
func endsSession(c sbrp.Code) bool {
	return c.SessionScoped() && c.Terminal() && c != sbrp.CodeDisallowedSender || c == sbrp.CodeSessionEnded
}

// liveLie is a code said to both ends of a session that carries a connection.
func liveLie(c sbrp.Code) threat {
	ends := []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon}
	r := threat{who: "relay", does: fmt.Sprintf("says %v to the client, then to the daemon, while a connection is open", c), then: "costs time at most"}
	if endsSession(c) {
		r.does, ends = fmt.Sprintf("says %v to the client while a connection is open", c), ends[:1] // to the daemon: silentLies
	}
	r.act = func(a *arena) error {
		conv, err := a.open(DialerOptions{})
		if err != nil {
			return err
		}
		for _, to := range ends {
			if err := conv.talk(); err != nil {
				return err
			}
			for _, id := range a.cheat.Sessions() {
				a.lie(to, id, c)
			}
		}
		for range 2 {
			if err := conv.talk(); err != nil {
				return err
			}
		}
		return conv.end()
	}
	return r
}

// silentLies are the codes with which a relay can have a daemon give a session up, all at once, since the client needs some
// seconds to find each out.
func silentLies() threat {
	var names []string
	codes := slices.Clone(relayCodes)
	codes = slices.DeleteFunc(codes, func(c sbrp.Code) bool { return !endsSession(c) })
	for _, c := range codes {
		names = append(names, c.String())
	}
	return threat{who: "relay", does: "says " + strings.Join(names, ", ") + " to the daemon alone while a connection is open", then: "the client misses the daemon's answers within seconds; resumed", waits: true, act: func(a *arena) error {
		all, err := a.openAll(len(codes))
		if err != nil {
			return err
		}
		for i, id := range a.cheat.Sessions() {
			a.lie(sbrp.RoleDaemon, id, codes[i])
		}
		return finishAll(all)
	}}
}

// openAll opens so many conversations, each of a client of its own.
func (a *arena) openAll(n int) (all []*conversation, err error) {
	for range n {
		c, err := a.open(DialerOptions{})
		if err != nil {
			return nil, err
		}
		if err := c.talk(); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// finishAll goes on with conversations, all at once, and ends them.
func finishAll(all []*conversation) error {
	var g errgroup.Group
	for _, c := range all {
		g.Go(func() error { return errors.Join(c.talk(), c.talk(), c.end()) })
	}
	return g.Wait()
}

// lie says a code to one end of a session. What stops it until further notice is taken back.
func (a *arena) lie(to sbrp.Role, id sbrp.SessionID, c sbrp.Code) {
	if to == sbrp.RoleDaemon {
		a.cheat.ToDaemon(a.daemonID, chaos.Say(c, id))
		return
	}
	a.cheat.ToClient(id, chaos.Say(c, id))
	if c == sbrp.CodeSessionPaused || c == sbrp.CodeSessionPending {
		a.cheat.ToClient(id, chaos.Say(sbrp.CodeSessionResumed, id))
	}
}
