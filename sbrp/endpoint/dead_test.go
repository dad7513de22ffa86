package endpoint_test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

func wantSilence(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*endpoint.SilenceError](err); !ok {
		t.Errorf("error is %v, want a *SilenceError", err)
	}
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("error %v is no timeout", err)
	}
}

// The client's path loses everything without a sign: noticed within 10 s while
// data waits, within 30 s idle, at whatever moment it begins.
func deadPathOfClient(t *testing.T) {
	for _, writing := range []bool{true, false} {
		for _, lead := range []time.Duration{0, 3 * time.Second, 14900 * time.Millisecond, 44 * time.Second} {
			t.Run(fmt.Sprintf("writing %v after %v", writing, lead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := start(t, sbrptest.NewRelay(), "", nil)
					x := r.dial(nil)
					x.talk("healthy")
					time.Sleep(lead)
					r.relay.SilenceClient(x.id, true)
					died := time.Now()
					bound := 30 * time.Second
					if writing {
						bound = 10 * time.Second
						var wg sync.WaitGroup
						defer wg.Wait()
						wg.Go(func() {
							for x.client.Send(packet("into the void")) == nil {
								time.Sleep(100 * time.Millisecond)
							}
						})
					}
					wantSilence(t, x.client.wantEnd())
					if d := time.Since(died); d > bound {
						t.Errorf("noticed after %v, want at most %v", d, bound)
					}
				})
			})
		}
	}
}

// A write that blocks for ever is waiting data too.
func TestDeadPathBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.FreezeClient(x.id, true)
		begun := time.Now()
		sent := 0
		var err error
		for err == nil {
			err = x.client.Send(packet("fills the socket"))
			sent++
		}
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("Send failed after %v, want at most 10 s", d)
		}
		wantSilence(t, err)
		x.client.wantEnd()
	})
}

// A healthy path is never called dead: idle for hours, with one-way traffic
// either way, with a relay that is slow to answer.
func healthyPathLives(t *testing.T) {
	for name, traffic := range map[string]func(x *ends){
		"idle":      func(*ends) {},
		"to daemon": func(x *ends) { x.client.send("tick"); x.daemon.want("tick") },
		"to client": func(x *ends) { x.daemon.send("tock"); x.client.want("tock") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", nil)
				x := r.dial(nil)
				for range 2000 {
					traffic(x)
					time.Sleep(3100 * time.Millisecond)
				}
				x.talk("at the end")
				if n := r.daemon.Stats().Losses; n != 0 {
					t.Errorf("the daemon lost its WebSocket %d times", n)
				}
			})
		})
	}
}

// While nobody receives at the client, the silence is its own: no verdict, but
// the keepalive goes on. When somebody receives again, a dead path is noticed.
func TestNobodyReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		var pings atomic.Int32
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type == sbrp.FramePing && p.From == sbrp.RoleClient {
				pings.Add(1)
			}
			return [][]byte{p.Message}
		})
		c, err := endpoint.DialSession(t.Context(), r.client())
		if err != nil {
			t.Fatal(err)
		}
		<-r.accepted
		if err := c.Send(packet("one message that nothing answers")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if c.Err() != nil {
			t.Fatalf("session ended although nobody received: %v", c.Err())
		}
		if n := pings.Load(); n < 10 || n > 13 {
			t.Errorf("%d pings in 3 minutes, want one each 15 s", n)
		}
		// Now somebody does, and the session is alive.
		e := pump(t, c)
		time.Sleep(time.Minute)
		e.wantNothing()
		r.relay.SilenceClient(c.ID(), true)
		e.send("into the void")
		begun := time.Now()
		wantSilence(t, e.wantEnd())
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("noticed after %v, want at most 10 s", d)
		}
	})
}

// The daemon's path dies: it comes back by itself, with its sessions.
func deadPathOfDaemon(t *testing.T) {
	for _, writing := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			x := r.dial(nil)
			time.Sleep(20 * time.Second)
			r.relay.SilenceDaemon(daemonID, true)
			died := time.Now()
			bound := 31 * time.Second
			if writing {
				bound = 11 * time.Second
				x.daemon.send("into the void")
			}
			x.daemon.wantPath(true, 1)
			if d := time.Since(died); d > bound {
				t.Errorf("writing %v: back after %v, want at most %v", writing, d, bound)
			}
			x.client.wantPath(true, 1)
			x.talk("afterwards")
			wantSilence(t, r.offline()[0])
		})
	}
}

// A reason to doubt the path: it has to show within 4 s that it lives.
func TestProbeAndKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		for range 10 {
			x.client.Probe()
			r.daemon.Kick()
			time.Sleep(5 * time.Second)
		}
		x.talk("both live")
		time.Sleep(time.Millisecond) // in a bubble everything happens at the same instant otherwise
		r.relay.SilenceDaemon(daemonID, true)
		begun := time.Now()
		r.daemon.Kick()
		x.daemon.wantPath(true, 1)
		if d := time.Since(begun); d > 4100*time.Millisecond {
			t.Errorf("daemon is back after %v, want 4 s", d)
		}
		time.Sleep(time.Millisecond)
		r.relay.SilenceClient(x.id, true)
		begun = time.Now()
		x.client.Probe()
		wantSilence(t, x.client.wantEnd())
		if d := time.Since(begun); d > 4*time.Second {
			t.Errorf("client noticed after %v, want 4 s", d)
		}
		x.client.Probe() // of no use any more, and no harm
	})
}

// An answer that was on the way when the network changed does not hide that the path is dead.
func TestProbeAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		x.talk("live")
		time.Sleep(time.Millisecond)
		begun := time.Now()
		x.client.Probe()
		r.daemon.Kick()
		time.Sleep(10 * time.Millisecond) // both are answered
		r.relay.SilenceDaemon(daemonID, true)
		r.relay.SilenceClient(x.id, true)
		wantSilence(t, x.client.wantEnd())
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("client noticed after %v, want 5 s", d)
		}
		x.daemon.wantPath(true, 1)
		if d := time.Since(begun); d > 5100*time.Millisecond {
			t.Errorf("daemon is back after %v, want 5 s", d)
		}
	})
}

// A relay that answers no Ping but speaks otherwise is alive.
func TestDeafRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.Deaf(true)
		for range 100 {
			x.talk("tick")
			time.Sleep(3 * time.Second)
		}
	})
}

// A relay that floods with Pings and does not read gets no more answers than
// are worth it, and reading goes on.
func TestPingFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.FreezeClient(x.id, true)
		r.relay.FreezeDaemon(daemonID, true)
		ping := sbrp.AppendPing(nil, []byte("flood"))
		for range 2000 {
			if !r.relay.InjectClient(x.id, ping) || !r.relay.InjectDaemon(daemonID, ping) {
				t.Fatal("an endpoint stopped reading")
			}
		}
		synctest.Wait()
		if n := x.client.Stats().PongsDropped; n < 1000 {
			t.Errorf("client dropped %d Pongs, want most of 2000", n)
		}
		if n := r.daemon.Stats().PongsDropped; n < 1000 {
			t.Errorf("daemon dropped %d Pongs, want most of 2000", n)
		}
		r.relay.FreezeClient(x.id, false)
		r.relay.FreezeDaemon(daemonID, false)
		x.talk("afterwards")
	})
}
