package relay_test

import (
	"net"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
)

// A peer that is too fast is slowed down to its rate, told so once per window, and loses nothing.
func slowedToTheRate(t *testing.T) {
	const size = 1000
	for _, tt := range []struct {
		name string
		rate relay.Rate
		most time.Duration // for what the test sends
	}{
		{"messages", relay.Rate{Messages: 10}, 40 * time.Second},
		{"bytes", relay.Rate{Bytes: relay.MinByteRate}, 5200 * time.Millisecond},
		{"both", relay.Rate{Messages: 20, Bytes: 10 * relay.MinByteRate}, 20 * time.Second},
		{"none", relay.Rate{}, 0},
	} {
		for _, role := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
			t.Run(tt.name+" of "+role.String(), func(t *testing.T) {
				bubble(t, func(c *relay.Config) {
					if role == sbrp.RoleClient {
						c.Limits.Client = tt.rate
					} else {
						c.Limits.Daemon = tt.rate
					}
				}, func(t *testing.T, r *rig) {
					d := r.daemon("d", token.ScopeSessionResume)
					c := r.session(d, "d", 7)
					from, to := c, d
					if role == sbrp.RoleDaemon {
						from, to = d, c
					}
					begin := time.Now()
					for i := range 400 {
						from.send(dataFrame(7, size, byte(i)))
					}
					for i := range 400 {
						to.want(dataFrame(7, size, byte(i)))
					}
					took := time.Since(begin)
					if took > tt.most || took < tt.most*3/4 {
						t.Errorf("took %v, want about %v", took, tt.most)
					}
					wait(time.Second)
					told := 0
					for len(from.got) > 0 {
						from.wantControl(sbrp.CodeRateLimited, 0)
						told++
					}
					want := int((took + relay.RateWindow - 1) / relay.RateWindow)
					if told != want {
						t.Errorf("told %d times in %v, want %d", told, took, want)
					}
					if n := r.srv.Stats(); (n.Slowed > 0) != (tt.most > 0) || n.Dead+n.Stuck != 0 {
						t.Errorf("got %+v", n)
					}
					to.quiet()
				})
			})
		}
	}
}

// Before HandshakeAccept a client hears nothing but its end (spec section 5), however fast it is.
func rateBeforeTheHandshake(t *testing.T) {
	bubble(t, func(c *relay.Config) { c.Limits.Client.Messages = 2 }, func(t *testing.T, r *rig) {
		r.daemon("d")
		c := r.client("d", 7)
		for range 20 {
			c.send(sbrp.AppendPing(nil, nil))
			c.want(sbrp.AppendPong(nil, nil))
		}
		if n := r.srv.Stats(); n.Slowed == 0 {
			t.Errorf("got %+v", n)
		}
		c.quiet()
	})
}

// Floods of pings, of SBRP and of the WebSocket, are read as slowly as anything else, and those who share the relay notice
// nothing.
func TestPingFloodIsSlowed(t *testing.T) {
	bubble(t, func(c *relay.Config) { c.Limits.Client.Messages = 50 }, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		other := r.session(d, "d", 8)
		c := r.session(d, "d", 7)
		begin := time.Now()
		for range 500 {
			c.send(sbrp.AppendPing(nil, []byte("x")))
			for {
				b, ok := c.next()
				if !ok {
					t.Fatal(c.err)
				}
				if b[0] == byte(sbrp.FramePong) {
					break // and not the one rate_limited
				}
			}
		}
		if took := time.Since(begin); took < 8*time.Second || took > 11*time.Second {
			t.Errorf("500 pings took %v", took)
		}
		hand := r.dialHand(clientToken("d", 9))
		sendHand(t, hand, initFrame(9))
		d.want(initFrame(9))
		ended := deaf(hand)
		begin = time.Now()
		for _, first := range []byte{0x89, 0x8A} { // ping, pong
			for range 250 {
				if _, err := hand.Write([]byte{first, 0x80, 0, 0, 0, 0}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if took := time.Since(begin); took < 8*time.Second || took > 11*time.Second {
			t.Errorf("500 WebSocket pings and pongs took %v", took)
		}
		other.send(dataFrame(8, 40, 1))
		d.want(dataFrame(8, 40, 1))
		_ = hand.Close() // what is left is the relay's to clear up
		<-ended
	})
}

// A message that trickles in is not waited for for ever, though its sender is never silent.
func TestTricklingMessage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		client := r.dialHand(clientToken("d", 8))
		sendHand(t, client, initFrame(8))
		d.want(initFrame(8))
		d.send(acceptFrame(8))
		daemon := r.handDaemon("slow")
		ended := map[net.Conn]<-chan struct{}{client: deaf(client), daemon: deaf(daemon)}
		for hand, ended := range ended {
			begin := time.Now()
			if _, err := hand.Write([]byte{0x82, 0x80 | 126, 4, 0, 0, 0, 0, 0}); err != nil { // of 1,024 bytes
				t.Fatal(err)
			}
			for {
				select {
				case <-ended:
				case <-time.After(5 * time.Second):
					if _, err := hand.Write([]byte{0}); err == nil {
						continue
					}
				}
				break
			}
			if took := time.Since(begin); took < relay.DefaultMessageTimeout || took > relay.DefaultMessageTimeout+30*time.Second {
				t.Errorf("cut after %v", took)
			}
		}
		if n := r.srv.Stats(); n.Stuck != 2 || n.Dead != 0 {
			t.Errorf("got %+v", n)
		}
		d.wantControl(sbrp.CodeSessionEnded, 8)
		c.send(dataFrame(7, 40, 1))
		d.want(dataFrame(7, 40, 1))
	})
}

// A relay that ends does not wait for peers that it slows down.
func TestRateDoesNotHoldTheEnd(t *testing.T) {
	bubble(t, func(c *relay.Config) { c.Limits.Client.Messages = 1 }, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		go func() {
			for c.conn.Write(dataFrame(7, 40, 1)) == nil {
			}
		}()
		wait(20 * time.Second)
		begin := time.Now()
		r.stopRelay()
		if took := time.Since(begin); took > 12*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestLimitsAreChecked(t *testing.T) {
	for _, l := range []relay.Limits{
		{PerAddress: -1}, {PerAccount: -1}, {Sessions: -1},
		{Client: relay.Rate{Messages: -1}}, {Daemon: relay.Rate{Bytes: -1}}, {Client: relay.Rate{Bytes: relay.MinByteRate - 1}},
	} {
		if _, err := relay.New(relay.Config{Verifier: openVerifier{}, Limits: l}); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
}
