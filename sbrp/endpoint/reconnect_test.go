package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

// A relay that is away is tried again with growing, jittered pauses, and each
// failure is reported.
func TestReconnectBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		refuse(503, "internal_error")(r.relay)
		var tries []time.Time
		r.relay.Refuse(func(sbrp.Role, string) *sbrptest.Refusal {
			tries = append(tries, time.Now())
			return &sbrptest.Refusal{Status: 503, Code: "internal_error"}
		})
		r.relay.CutDaemon(daemonID)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(tries); n < 20 || n > 120 {
			t.Errorf("%d attempts in 10 minutes, want about 50", n)
		}
		if first := tries[1].Sub(tries[0]); first > 100*time.Millisecond {
			t.Errorf("second attempt after %v, want soon", first)
		}
		for i := range tries[1:] {
			if d := tries[i+1].Sub(tries[i]); d > 30*time.Second || d < 25*time.Millisecond {
				t.Errorf("pause %d was %v, want within 25 ms and 30 s", i, d)
			}
		}
		if n := len(r.offline()); n != len(tries)+1 {
			t.Errorf("%d offline reports, want one for the loss and %d for attempts", n, len(tries))
		}
		// The network has changed: at once.
		r.relay.Refuse(nil)
		begun := time.Now()
		r.daemon.Kick()
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
		if d := time.Since(begun); d > 0 {
			t.Errorf("attempt after a Kick came after %v, want at once", d)
		}
	})
}

// The backoff starts over only after a connection that lived: a relay that takes
// us and throws us out again is not stormed.
func TestBackoffOfFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		begun := time.Now()
		for range 30 {
			r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
			r.relay.CutDaemon(daemonID)
			r.await("the daemon to go", func() bool { return !r.relay.Online(daemonID) })
		}
		if d := time.Since(begun); d < time.Minute {
			t.Errorf("30 connections in %v, want a growing pause", d)
		}
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
		time.Sleep(time.Minute)
		begun = time.Now()
		r.relay.CutDaemon(daemonID)
		r.await("the daemon to go", func() bool { return !r.relay.Online(daemonID) })
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
		if d := time.Since(begun); d > 100*time.Millisecond {
			t.Errorf("back after %v from a stable connection's loss, want at once", d)
		}
	})
}

// The token at hand is used again at the first reconnect; one that the relay
// refuses is replaced at once, without a report.
func tokenRefusedOnce(t *testing.T) {
	for _, status := range []int{401, 403} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			old := sbrptest.DaemonToken(daemonID, 1)
			r.relay.CutDaemon(daemonID)
			r.await("the daemon to go", func() bool { return !r.relay.Online(daemonID) })
			r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
			if n := r.connects(); n != 1 {
				t.Errorf("Connect was called %d times, want once: the token is good", n)
			}
			r.relay.Refuse(func(_ sbrp.Role, token string) *sbrptest.Refusal {
				if token == old {
					return &sbrptest.Refusal{Status: status, Code: "unauthorized"}
				}
				return nil
			})
			r.relay.CutDaemon(daemonID)
			r.await("the daemon to go", func() bool { return !r.relay.Online(daemonID) })
			r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
			if n := r.connects(); n != 2 {
				t.Errorf("Connect was called %d times, want twice", n)
			}
			for _, err := range r.offline() {
				if isDial(status, "unauthorized")(err) {
					t.Errorf("reported %v, although another token was taken", err)
				}
			}
		})
	}
}

// A relay that refuses every token: reported with its code, and tried on.
func TestTokenRefusedAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		refuse(401, "unauthorized")(r.relay)
		r.relay.CutDaemon(daemonID)
		time.Sleep(time.Minute)
		errs := r.offline()
		if len(errs) < 3 || !isDial(401, "unauthorized")(errs[1]) || !isDial(401, "unauthorized")(errs[len(errs)-1]) {
			t.Errorf("reports: %v, want the refusals", errs)
		}
		for _, err := range errs {
			if strings.Contains(err.Error(), "eyJ") {
				t.Errorf("report holds a token: %v", err)
			}
		}
		r.relay.Refuse(nil)
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
	})
}

// Connect fails: with a good token at hand that is used, without one it is
// reported and tried again.
func TestControlPlaneDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var calls atomic.Int32
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) {
			c.Connect = func(context.Context) (endpoint.Presence, error) {
				calls.Add(1)
				if down.Load() {
					return endpoint.Presence{}, errors.New("control plane is down")
				}
				return endpoint.Presence{URL: "memory", Token: sbrptest.DaemonToken(daemonID, 1), DaemonID: daemonID, Expires: time.Now().Add(time.Hour)}, nil
			}
		})
		down.Store(true)
		refuse(503, "internal_error")(r.relay) // so that the second attempt asks for a new token
		r.relay.CutDaemon(daemonID)
		time.Sleep(time.Minute)
		r.relay.Refuse(nil)
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
		if calls.Load() < 2 {
			t.Error("Connect was not asked for another address")
		}
		// Past the token's end there is nothing to come with.
		refuse(503, "internal_error")(r.relay)
		r.relay.CutDaemon(daemonID)
		time.Sleep(2 * time.Hour)
		r.relay.Refuse(nil)
		time.Sleep(time.Minute)
		if r.relay.Online(daemonID) {
			t.Error("the daemon came online with an expired token")
		}
		errs := r.offline()
		if err := errs[len(errs)-1]; !strings.Contains(err.Error(), "control plane is down") {
			t.Errorf("last report %v, want Connect's error", err)
		}
		down.Store(false)
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
	})
}

// The token is renewed before it expires, the connection stays, and the next
// WebSocket comes with the new one.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		time.Sleep(10 * time.Hour)
		if n := r.connects(); n < 11 || n > 13 {
			t.Errorf("Connect was called %d times in 10 hours of tokens of one hour", n)
		}
		if n := r.daemon.Stats().Losses; n != 0 {
			t.Errorf("the WebSocket was lost %d times", n)
		}
		x.talk("through all renewals")
		asked := r.connects()
		r.relay.CutDaemon(daemonID)
		x.client.wantPath(true, 1)
		tokens := r.relay.PresenceTokens()
		if got := tokens[len(tokens)-1]; got != sbrptest.DaemonToken(daemonID, asked) {
			t.Error("the new WebSocket came with another token than the newest")
		}
	})
}

// Renewal that fails is tried on, and hurts nothing.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) {
			c.Connect = func(context.Context) (endpoint.Presence, error) {
				if calls.Add(1) > 1 {
					return endpoint.Presence{}, errors.New("control plane is down")
				}
				return endpoint.Presence{URL: "memory", Token: sbrptest.DaemonToken(daemonID, 1), DaemonID: daemonID, Expires: time.Now().Add(time.Hour)}, nil
			}
		})
		x := r.dial(nil)
		time.Sleep(5 * time.Hour)
		if n := calls.Load(); n < 20 || n > 300 {
			t.Errorf("Connect was called %d times in 5 hours", n)
		}
		x.talk("all the same")
	})
}

// What cannot heal ends Run with that error, at the start, at a reconnect and at
// a renewal, and the sessions with it.
func TestPermanentError(t *testing.T) {
	for _, when := range []string{"reconnect", "renewal"} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) {
				c.Connect = func(context.Context) (endpoint.Presence, error) {
					if calls.Add(1) > 1 {
						return endpoint.Presence{}, endpoint.Permanent(errTestPermanent)
					}
					return endpoint.Presence{URL: "memory", Token: sbrptest.DaemonToken(daemonID, 1), DaemonID: daemonID, Expires: time.Now().Add(time.Hour)}, nil
				}
			})
			x := r.dial(nil)
			if when == "reconnect" {
				refuse(401, "unauthorized")(r.relay)
				r.relay.CutDaemon(daemonID)
			}
			if err := x.daemon.wantEndWithin(2 * time.Hour); !errors.Is(err, endpoint.ErrDaemonClosed) {
				t.Errorf("%s: session ended with %v, want ErrDaemonClosed", when, err)
			}
			if err := r.stop(); !errors.Is(err, errTestPermanent) {
				t.Errorf("%s: Run = %v, want Connect's error", when, err)
			}
			errs := r.offline()
			if len(errs) == 0 || !errors.Is(errs[len(errs)-1], errTestPermanent) {
				t.Errorf("%s: reports %v, want Connect's error last", when, errs)
			}
		})
	}
	t.Run("start", func(t *testing.T) {
		d, err := endpoint.NewDaemon(endpoint.DaemonConfig{
			Identity: e2ee.GenerateIdentity(),
			Accept:   func(*endpoint.Session) {},
			Connect: func(context.Context) (endpoint.Presence, error) {
				return endpoint.Presence{}, endpoint.Permanent(errTestPermanent)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(t.Context()); !errors.Is(err, errTestPermanent) {
			t.Errorf("Run = %v, want Connect's error", err)
		}
	})
	if endpoint.Permanent(nil) != nil {
		t.Error("Permanent(nil) is an error")
	}
}

// A control plane that says nonsense is no crash.
func TestOddPresence(t *testing.T) {
	for _, p := range []endpoint.Presence{{}, {URL: "memory"}, {URL: "memory", Token: "t"}, {URL: "memory", Token: "t", DaemonID: "a b"}} {
		synctest.Test(t, func(t *testing.T) {
			var reports atomic.Int32
			d, err := endpoint.NewDaemon(endpoint.DaemonConfig{
				Identity: e2ee.GenerateIdentity(),
				Accept:   func(*endpoint.Session) {},
				Connect:  func(context.Context) (endpoint.Presence, error) { return p, nil },
				OnState:  func(s endpoint.DaemonState) { reports.Add(1) },
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := d.Run(ctx); err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
			if reports.Load() == 0 {
				t.Error("nothing was reported")
			}
		})
	}
}

// An attempt that hangs, because the network it began on is gone, is begun anew
// by a Kick; one that has just begun is left alone.
func TestKickDuringAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		var dials atomic.Int32
		relay := sbrptest.NewRelay()
		r := start(t, relay, "", func(c *endpoint.DaemonConfig) {
			dial := c.DialWire
			c.DialWire = func(ctx context.Context, url string, o wsconn.DialOptions) (endpoint.Wire, error) {
				dials.Add(1)
				if hang.Load() {
					<-ctx.Done()
					return nil, &wsconn.DialError{Hop: wsconn.HopTCP, Address: "memory", Err: context.Cause(ctx)}
				}
				return dial(ctx, url, o)
			}
		})
		hang.Store(true)
		relay.CutDaemon(daemonID)
		time.Sleep(100 * time.Millisecond)
		r.daemon.Kick() // too early to help: dial 2 has just begun
		synctest.Wait()
		if n := dials.Load(); n != 2 {
			t.Errorf("%d dials after an early Kick, want 2", n)
		}
		time.Sleep(5 * time.Second)
		hang.Store(false)
		begun := time.Now()
		r.daemon.Kick()
		r.await("the daemon to come online", func() bool { return relay.Online(daemonID) })
		if d := time.Since(begun); d > 0 {
			t.Errorf("online %v after the Kick, want at once", d)
		}
	})
}

// Two daemons with one identity: the newest wins; the sessions of the first
// follow it when it is back.
func TestReplacedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay := sbrptest.NewRelay()
		r := start(t, relay, "", nil)
		x := r.dial(nil)
		w, err := relay.Dial(t.Context(), "", wsconn.DialOptions{Token: sbrptest.DaemonToken(daemonID, 1000)})
		if err != nil {
			t.Fatal(err)
		}
		defer w.CloseNow()
		x.daemon.wantPath(false, 0)
		x.daemon.wantPath(true, 1)
		x.client.wantPath(true, 1)
		x.talk("with the first again")
	})
}

// A relay that says "moved" is believed so far that the control plane is asked, which
// names the relay to go to; sessions there are new ones.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var urls []string
		dialed := make(chan string, 8)
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) {
			connect, dial := c.Connect, c.DialWire
			c.Connect = func(ctx context.Context) (endpoint.Presence, error) {
				p, err := connect(ctx)
				p.URL = fmt.Sprint("memory of node ", len(urls))
				urls = append(urls, p.URL)
				return p, err
			}
			c.DialWire = func(ctx context.Context, url string, o wsconn.DialOptions) (endpoint.Wire, error) {
				dialed <- url
				return dial(ctx, url, o)
			}
		})
		begun := time.Now()
		for _, want := range []string{"memory of node 0", "memory of node 1"} {
			r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
			if got := <-dialed; got != want {
				t.Errorf("dialed %q, want %q", got, want)
			}
			r.relay.MoveDaemon(daemonID)
			r.await("the daemon to go", func() bool { return !r.relay.Online(daemonID) })
		}
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
		if d := time.Since(begun); d > time.Second {
			t.Errorf("two moves took %v", d)
		}
		r.relay.CutDaemon(daemonID) // a mere loss: the relay at hand, without asking
		r.await("the daemon to go", func() bool { return !r.relay.Online(daemonID) })
		r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
		if n := r.connects(); n != 3 {
			t.Errorf("Connect was called %d times, want 3", n)
		}
	})
}

// Run ends while it connects, while it waits, and while Connect hangs.
func TestRunEnds(t *testing.T) {
	for name, change := range map[string]func(*endpoint.DaemonConfig){
		"connect hangs": func(c *endpoint.DaemonConfig) {
			c.Connect = func(ctx context.Context) (endpoint.Presence, error) {
				<-ctx.Done()
				return endpoint.Presence{}, ctx.Err()
			}
		},
		"dial hangs": func(c *endpoint.DaemonConfig) {
			c.DialWire = func(ctx context.Context, _ string, _ wsconn.DialOptions) (endpoint.Wire, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"waits": func(c *endpoint.DaemonConfig) {
			c.Backoff = endpoint.Backoff{Min: time.Hour, Max: time.Hour}
			c.DialWire = func(context.Context, string, wsconn.DialOptions) (endpoint.Wire, error) {
				return nil, errors.New("no relay here")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := endpoint.DaemonConfig{
					Identity: e2ee.GenerateIdentity(),
					Accept:   func(*endpoint.Session) {},
					Connect: func(context.Context) (endpoint.Presence, error) {
						return endpoint.Presence{URL: "memory", Token: "t", DaemonID: daemonID}, nil
					},
				}
				change(&c)
				d, err := endpoint.NewDaemon(c)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(7*time.Second, cancel)
				begun := time.Now()
				if err := d.Run(ctx); err != nil {
					t.Errorf("Run = %v, want nil", err)
				}
				if d := time.Since(begun); d != 7*time.Second {
					t.Errorf("Run ended after %v, want 7 s", d)
				}
			})
		})
	}
}
