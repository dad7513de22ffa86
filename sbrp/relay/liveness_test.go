package relay_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
)

// Peers that send nothing but the answers to WebSocket pings (that is what library clients do) stay for ever.
func silentButAlive(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		wait(24 * time.Hour)
		c.quiet()
		d.quiet()
		c.send(dataFrame(7, 40, 1))
		d.want(dataFrame(7, 40, 1))
	})
}

// deaf swallows what comes and answers nothing.
func deaf(conn net.Conn) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, conn) // ends with the connection
	}()
	return done
}

// A peer that has gone without a word is cut after 90 s of silence, not sooner, and not much later.
func silentIsDead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.daemon("d", token.ScopeSessionResume)
		c := r.session(d, "d", 7)
		hand := r.dialHand(clientToken("d", 8))
		sendHand(t, hand, initFrame(8))
		d.want(initFrame(8))
		d.send(acceptFrame(8))
		clientEnded := deaf(hand)
		daemon := r.handDaemon("mute")
		daemonEnded := deaf(daemon)
		wait(89 * time.Second)
		if n := r.srv.Stats(); n.Clients != 2 || n.Daemons != 2 {
			t.Fatalf("too soon: %+v", n)
		}
		wait(12 * time.Second)
		<-clientEnded
		<-daemonEnded
		if n := r.srv.Stats(); n.Clients != 1 || n.Daemons != 1 || n.Dead != 2 {
			t.Errorf("got %+v", n)
		}
		d.wantControl(sbrp.CodeSessionEnded, 8)
		c.quiet()
	})
}

// A client whose frame waits for a slow daemon cannot be heard, and is not dead for that.
func TestWaitingForTheDaemonIsNotSilence(t *testing.T) {
	bubble(t, func(c *relay.Config) { c.WriteTimeout = 10 * time.Minute }, func(t *testing.T, r *rig) {
		hand := r.handDaemon("d")
		c := r.client("d", 7)
		c.send(initFrame(7))
		readOneHand(t, hand)
		if err := hand.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		sendHand(t, hand, acceptFrame(7))
		c.want(acceptFrame(7))
		spoken := make(chan struct{})
		go func() { // the daemon speaks, so that it is not dead, and does not listen
			defer close(spoken)
			for range 30 {
				time.Sleep(10 * time.Second)
				if _, err := hand.Write([]byte{0x82, 0x80 | 13, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
					return
				}
			}
		}()
		c.send(dataFrame(7, 40, 1))
		wait(4 * time.Minute)
		c.quiet()
		for m := readOneHand(t, hand); string(m) != string(dataFrame(7, 40, 1)); m = readOneHand(t, hand) {
			if f, err := sbrp.ParseFrame(m); err != nil || f.Type != sbrp.FrameControl && f.Type != sbrp.FramePing {
				t.Fatalf("got %s", describe(m))
			}
		}
		_ = hand.Close() // ends the goroutine
		<-spoken
	})
}

// faulty is a connection that ends, by a reset or in silence, in the middle of the n-th thing that is written or read.
type faulty struct {
	net.Conn
	left int
}

var errFault = errors.New("fault")

func (f *faulty) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		n, _ := f.Conn.Write(p[:len(p)/2])
		_ = f.Conn.Close() // the point of it
		return n, errFault
	}
	return f.Conn.Write(p)
}

// Cut a connection, the client's or the daemon's, at every N-th message of a run with a handshake, data both ways, a pause, a
// resume and an end. Whatever is cut, the other session and the relay go on, and nothing is left behind.
func TestCutAtEveryMessage(t *testing.T) {
	const longest = 16
	for _, victim := range []string{"client", "daemon"} {
		for n := 1; n < longest; n++ { // 0 is the request itself
			bubble(t, nil, func(t *testing.T, r *rig) {
				od := r.daemon("other")
				oc := r.session(od, "other", 1)
				cutClient, cutDaemon := 1000, 1000
				if victim == "client" {
					cutClient = n
				} else {
					cutDaemon = n
				}
				run(r, cutDaemon, cutClient)
				oc.send(dataFrame(1, 40, 1))
				od.want(dataFrame(1, 40, 1))
				wait(3 * time.Minute)
				if s := r.srv.Stats(); s.Clients != 1 || s.Daemons != 1 || s.Paired != 1 || s.Paused+s.Pending != 0 || s.Panics != 0 {
					t.Errorf("%s cut at %d: left behind %+v", victim, n, s)
				}
			})
		}
	}
}

// run plays a session; each side goes on as long as it can.
func run(r *rig, cutDaemon, cutClient int) {
	d := r.dialFaulty(daemonToken("d", token.ScopeSessionResume), cutDaemon)
	c := r.dialFaulty(clientToken("d", 7), cutClient)
	defer func() {
		c.conn.CloseNow()
		d.conn.CloseNow()
	}()
	step := func(from *end, frame []byte) {
		_ = from.conn.Write(frame) // may be cut
		wait(time.Millisecond)
	}
	play := func() {
		for i := range 4 {
			step(c, dataFrame(7, 1000*i, 1))
			step(d, dataFrame(7, 1000*i, 2))
			step(d, sbrp.AppendPing(nil, nil))
			step(c, sbrp.AppendPing(nil, nil))
		}
	}
	step(c, initFrame(7))
	step(d, acceptFrame(7))
	play()
	d.conn.CloseNow()
	wait(time.Second)
	d = r.dialFaulty(daemonToken("d", token.ScopeSessionResume), cutDaemon/2+1)
	step(d, sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
	play()
	step(d, sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonShutdown))
}
