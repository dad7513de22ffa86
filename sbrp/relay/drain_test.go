package relay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// toldToGo reads until the end of a connection and reports whether it was told to go elsewhere, and nothing else.
func (e *end) toldToGo() bool {
	for b := range e.got {
		e.t.Errorf("told %s before the end", describe(b))
	}
	ce, ok := errors.AsType[*wsconn.CloseError](e.err)
	return ok && ce.Code == wsconn.StatusGoingAway
}

// Daemons are moved one after the other, each with its clients; those whose turn has not come go on.
func TestDrainMovesOneAfterTheOther(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		const n = 4
		var daemons, clients [n]*end
		for i := range n {
			id := fmt.Sprintf("d%d", i)
			daemons[i] = r.daemon(id, token.ScopeSessionResume)
			clients[i] = r.session(daemons[i], id, sbrp.SessionID(i+1))
		}
		drained := make(chan struct{})
		begin := time.Now()
		go func() {
			defer close(drained)
			r.srv.Drain(t.Context(), 40*time.Second)
		}()
		for want := n - 1; want >= 0; want-- {
			wait(5 * time.Second)
			s := r.srv.Stats()
			if s.Daemons != int64(want) || s.Clients != int64(want) {
				t.Fatalf("after %v: %+v, want %d of each", time.Since(begin), s, want)
			}
			_, err := r.tryDial(daemonToken("new"))
			wantRefused(t, "a newcomer", err, 503, "unavailable")
			if de, ok := errors.AsType[*wsconn.DialError](err); ok && de.RetryAfter == 0 {
				t.Error("a newcomer is not told when to come again")
			}
			for i := range n { // whoever is left works
				if r.srv.Online(fmt.Sprintf("d%d", i)) {
					clients[i].send(dataFrame(sbrp.SessionID(i+1), 40, byte(i)))
					daemons[i].want(dataFrame(sbrp.SessionID(i+1), 40, byte(i)))
				}
			}
			wait(5 * time.Second)
		}
		<-drained
		for i := range n {
			if !daemons[i].toldToGo() || !clients[i].toldToGo() {
				t.Errorf("daemon %d: %v, client: %v", i, daemons[i].err, clients[i].err)
			}
		}
	})
}

// All at once, and no longer than the deadline, whatever the peers do.
func TestDrainHasADeadline(t *testing.T) {
	for _, over := range []time.Duration{0, time.Hour} {
		bubble(t, func(c *relay.Config) { c.WriteTimeout = time.Hour }, func(t *testing.T, r *rig) {
			r.daemon("a")
			mute := r.handDaemon("b") // does not answer, and does not read
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			begin := time.Now()
			r.srv.Drain(ctx, over)
			if took := time.Since(begin); took > 21*time.Second {
				t.Errorf("over %v: took %v", over, took)
			}
			_ = mute.Close() // the hour need not pass
		})
	}
}

// Nobody is there: it is over at once. Drain may be called again, and Run ends after it.
func TestDrainOfNobody(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		begin := time.Now()
		r.srv.Drain(t.Context(), time.Hour)
		r.srv.Drain(t.Context(), 0)
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}
