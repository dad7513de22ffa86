package relay_test

import (
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// claimedAddress takes what stands in User-Agent for the address that a request comes from.
func claimedAddress(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(r.UserAgent())
	return a
}

func (r *rig) dialFrom(address, tok string) (*end, error) {
	return r.dialWith(wsconn.DialOptions{Token: tok, UserAgent: address})
}

func wantRefused(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	de, ok := errors.AsType[*wsconn.DialError](err)
	if !ok || de.Status != status || de.Code != code || status == 429 && de.RetryAfter == 0 {
		t.Errorf("%s: got %v, want %d %s", what, err, status, code)
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.Limits.PerAddress, c.RemoteAddr = 2, claimedAddress
	})
	for _, tt := range []struct{ name, first, second, third, other string }{
		{"IPv4", "192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
		{"IPv6", "2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3", "2001:db8:0:1::1"},
		{"none", "x", "y", "z", "192.0.2.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			one, err := r.dialFrom(tt.first, daemonToken("a"+tt.name))
			if err != nil {
				t.Fatal(err)
			}
			two, err := r.dialFrom(tt.second, daemonToken("b"+tt.name))
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.dialFrom(tt.third, daemonToken("c"+tt.name))
			wantRefused(t, "third", err, 429, "rate_limited")
			if _, err = r.dialFrom(tt.other, daemonToken("d"+tt.name)); err != nil {
				t.Errorf("another address: %v", err)
			}
			one.close()
			two.close()
			eventually(t, "there is a place again", func() bool {
				e, err := r.dialFrom(tt.third, daemonToken("e"+tt.name))
				if err == nil {
					e.close()
				}
				return err == nil
			})
		})
	}
	// A refused request takes no place.
	for range 5 {
		_, err := r.dialFrom("198.51.100.1", "bad")
		wantRefused(t, "bad token", err, 401, "unauthorized")
	}
	if n := r.srv.Stats(); n.RefusedAddresses < 3 || n.RefusedTokens != 5 {
		t.Errorf("got %+v", n)
	}
}

func TestConnectionsPerAccount(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Limits.PerAccount = 3 })
	daemonOf := func(account, id string) string {
		return mint(openClaims{Role: sbrp.RoleDaemon, Daemon: id, Account: account})
	}
	clientOf := func(account, id string, sid uint64) string {
		return mint(openClaims{Role: sbrp.RoleClient, Daemon: id, Session: sid, Account: account, Scopes: []string{token.ScopeSessionCreate}})
	}
	r.dial(daemonOf("A", "a")).sync()
	r.dial(clientOf("A", "a", 1)).sync()
	last := r.dial(clientOf("A", "a", 2))
	last.sync()
	_, err := r.tryDial(clientOf("A", "a", 3))
	wantRefused(t, "a client too many", err, 429, "rate_limited")
	_, err = r.tryDial(daemonOf("A", "a2"))
	wantRefused(t, "a daemon too many", err, 429, "rate_limited")
	// The daemon comes back before the relay has noticed that it had gone.
	r.dial(daemonOf("A", "a")).sync()
	// Others are not concerned: another account, and what names none, which counts for its daemon.
	r.dial(daemonOf("B", "b")).sync()
	for _, id := range []string{"x", "y"} {
		r.dial(daemonToken(id)).sync()
		r.dial(clientToken(id, 1)).sync()
		r.dial(clientToken(id, 2)).sync()
		_, err := r.tryDial(clientToken(id, 3))
		wantRefused(t, "without an account", err, 429, "rate_limited")
	}
	last.close()
	eventually(t, "there is a place again", func() bool {
		_, err := r.tryDial(clientOf("A", "a", 4))
		return err == nil
	})
	if n := r.srv.Stats(); n.RefusedAccounts < 4 {
		t.Errorf("got %+v", n)
	}
}

// The smaller one of the relay's and the token's limits counts.
func TestSessionsPerDaemon(t *testing.T) {
	for _, tt := range []struct{ relay, token, want int }{{2, 0, 2}, {2, 1, 1}, {1, 3, 1}, {0, 2, 2}} {
		r := newRig(t, func(c *relay.Config) { c.Limits.Sessions = tt.relay })
		r.dial(mint(openClaims{Role: sbrp.RoleDaemon, Daemon: "d", Sessions: tt.token})).sync()
		for sid := range tt.want {
			r.client("d", sbrp.SessionID(sid+1)).sync()
		}
		_, err := r.tryDial(clientToken("d", 99))
		wantRefused(t, "one too many", err, 429, "rate_limited")
		r.stop()
	}
}

// Of several that come with one session id at once, one gets it.
func TestOneOfManyGetsTheSession(t *testing.T) {
	r := newRig(t, nil)
	r.daemon("d")
	for range 20 {
		var wg sync.WaitGroup
		in, conflicts := make(chan *end, 4), make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				e, err := r.tryDial(clientToken("d", 7))
				if de, ok := errors.AsType[*wsconn.DialError](err); ok && de.Status == 409 {
					conflicts <- struct{}{}
				} else if err == nil {
					in <- e
				} else {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(in) != 1 || len(conflicts) != 3 {
			t.Fatalf("%d are in, %d conflicts", len(in), len(conflicts))
		}
		e := <-in
		e.sync() // the relay has begun to serve it
		e.conn.CloseNow()
		eventually(t, "the session is free", func() bool { return r.srv.Stats().Clients == 0 })
	}
}

// Sessions come and go, their ids are used again, their daemon comes back: nothing is left behind (the rig looks).
func TestSessionChurn(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Limits = relay.Limits{PerAddress: 50, PerAccount: 50, Sessions: 6} })
	var opened, refused atomic.Int64
	var wg sync.WaitGroup
	churn := func(n int, work func(i int)) {
		wg.Go(func() {
			for i := range n {
				work(i)
			}
		})
	}
	churn(20, func(int) {
		if _, err := r.tryDial(daemonToken("d", token.ScopeSessionResume)); err != nil {
			refused.Add(1)
		}
	})
	for k := range 8 {
		churn(40, func(i int) {
			sid := sbrp.SessionID(i%3*2 + k%2 + 1) // six ids for eight
			c, err := r.tryDial(clientToken("d", sid))
			if err != nil {
				refused.Add(1)
				return
			}
			opened.Add(1)
			_ = c.conn.Write(initFrame(sid)) // the relay may have ended it
			if i%2 == 0 {
				c.close()
			} else {
				c.conn.CloseNow()
			}
		})
	}
	wg.Wait()
	if opened.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d sessions opened, %d refused", opened.Load(), refused.Load())
	}
	eventually(t, "all are gone", func() bool { n := r.srv.Stats(); return n.Clients == 0 && n.Paired+n.Paused+n.Pending == 0 })
}
