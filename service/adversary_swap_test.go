package service

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"culvert/sbrp"
	"culvert/sbrp/chaos"
	"culvert/sbrp/sbrptest"
)

// startTrap is a server to which nobody has to come; it tells of those who do.
func startTrap(t *testing.T, came chan<- string) (url string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { came <- r.URL.Path }))
	t.Cleanup(srv.Close)
	return srv.URL
}

// swapThreats are a relay's that gives one session what is another's.
func swapThreats() []threat {
	const refused = "the daemon's signature is over the client's own ephemeral key; nothing is sent"
	return []threat{
		{who: "relay", does: "swaps the HandshakeInits of two sessions", code: CodeIdentity, name: "handshake_failed", then: refused, act: func(a *arena) error {
			return a.swapped(sbrp.RoleDaemon, sbrp.FrameHandshakeInit)
		}},
		{who: "relay", does: "swaps the HandshakeAccepts of two sessions", code: CodeIdentity, name: "handshake_failed", then: refused, act: func(a *arena) error {
			return a.swapped(sbrp.RoleClient, sbrp.FrameHandshakeAccept)
		}},
		{who: "relay", does: "delivers the sealed messages of one client's session in another client's, both ways", clients: []string{"second"}, then: "what is refused ends that session; the next one takes the connection over", act: func(a *arena) error {
			a.login("second", "client")
			a.grant("second", "prog")
			other, err := a.open(DialerOptions{Common: a.common("second"), Trust: TrustFirstUse})
			if err != nil {
				return err
			}
			for _, to := range []sbrp.Role{sbrp.RoleDaemon, sbrp.RoleClient} {
				if err := other.talk(); err != nil {
					return fmt.Errorf("the other client: %w", err)
				}
				if err := a.meanwhile(func() { a.deliver(to, sbrp.FrameData, a.inAnother) }); err != nil {
					return fmt.Errorf("to the %v: %w", to, err)
				}
			}
			return errors.Join(other.talk(), other.end())
		}},
	}
}

// inAnother delivers a sealed message in another session first.
func (a *arena) inAnother(d sbrptest.Delivery) [][]byte {
	for _, id := range a.cheat.Sessions() {
		if id == d.SessionID {
			continue
		}
		msg := chaos.Redirect(d.Frame, id)
		if d.To == sbrp.RoleDaemon {
			return [][]byte{msg, d.Message}
		}
		a.cheat.ToClient(id, msg)
		return [][]byte{d.Message}
	}
	a.t.Error("there is no other session")
	return [][]byte{d.Message}
}

// swapped has two clients shake hands at once, and each get what of these frames is the other's.
func (a *arena) swapped(to sbrp.Role, typ sbrp.FrameType) error {
	var mu sync.Mutex
	var first *sbrptest.Delivery
	done := false
	a.cheat.Deliver(func(d sbrptest.Delivery) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case d.To != to || d.Frame.Type != typ || done:
			return [][]byte{d.Message}
		case first == nil:
			first = &d
			return nil
		}
		done = true
		mine, theirs := chaos.Redirect(first.Frame, d.SessionID), chaos.Redirect(d.Frame, first.SessionID)
		if to == sbrp.RoleDaemon {
			return [][]byte{mine, theirs} // one WebSocket for both
		}
		a.cheat.ToClient(first.SessionID, theirs)
		return [][]byte{mine}
	})
	var g errgroup.Group
	errs := make([]error, 2)
	for i := range errs {
		g.Go(func() error { errs[i] = a.attempt(); return nil })
	}
	_ = g.Wait() // they are in errs
	return same(errs...)
}
