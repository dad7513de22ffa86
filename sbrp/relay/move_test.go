package relay_test

import (
	"slices"
	"sync"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// changes counts what Config.Changed is told.
type changes struct {
	mu sync.Mutex
	of map[string]int // guarded by mu
}

func (c *changes) note(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[id]++
}

func (c *changes) want(t *testing.T, id string, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[id] != n {
		t.Errorf("%d changes of %s were told, want %d", c.of[id], id, n)
	}
}

// A daemon that is moved is told so, its clients are told to open new sessions, and
// nobody else notices.
func TestMove(t *testing.T) {
	var told changes
	bubble(t, func(c *relay.Config) { c.Changed = told.note }, func(t *testing.T, r *rig) {
		d, other := r.daemon("d", token.ScopeSessionResume), r.daemon("other")
		told.want(t, "d", 1)
		active, young := r.session(d, "d", 1), r.client("d", 2)
		oc := r.session(other, "other", 3)
		wait(0) // both are in
		if ids := r.srv.Daemons(); len(ids) != 2 || !slices.Contains(ids, "d") || !r.srv.Online("d") || !r.srv.Holds("d") {
			t.Errorf("connected are %v", ids)
		}
		if !r.srv.Move("d") {
			t.Error("there was nothing to move")
		}
		active.wantLast(sbrp.CodeSessionExpired, 1)
		young.wantLast(sbrp.CodeSessionExpired, 2)
		d.wantEnd(wsconn.StatusMoved)
		wait(0)
		told.want(t, "d", 2)
		told.want(t, "other", 1)
		if r.srv.Online("d") || r.srv.Holds("d") || r.srv.Move("d") || r.srv.Move("nobody") || r.srv.Holds("nobody") {
			t.Error("something is left of it")
		}
		oc.send(dataFrame(3, 40, 1))
		other.want(dataFrame(3, 40, 1))
		if s := r.srv.Stats(); s.Daemons != 1 || s.Clients != 1 {
			t.Errorf("left are %+v", s)
		}
		// It may come back all the same.
		d = r.daemon("d", token.ScopeSessionResume)
		r.session(d, "d", 4)
	})
}

// The sessions of a daemon that has gone to another relay need not wait for it.
func TestMoveOfPaused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.daemon("d", token.ScopeSessionResume)
		c := r.session(d, "d", 1)
		d.close()
		c.wantControl(sbrp.CodeSessionPaused, 1)
		if r.srv.Online("d") || !r.srv.Holds("d") || len(r.srv.Daemons()) != 0 {
			t.Error("want sessions without a daemon")
		}
		if !r.srv.Move("d") {
			t.Error("there was nothing to move")
		}
		c.wantLast(sbrp.CodeSessionExpired, 1)
	})
}

// A relay that goes down while there are others sends its daemons there.
func TestDrainToOthers(t *testing.T) {
	bubble(t, func(c *relay.Config) { c.Others = true }, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 1)
		r.stopRelay()
		d.wantEnd(wsconn.StatusMoved)
		if _, ok := c.next(); ok { // it may hear of the daemon's end first
			c.next()
		}
	})
}
