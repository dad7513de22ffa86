package relay_test

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// Peers that begin a message and never finish it, before and after the handshake, clients and daemons: they are ended soon, and
// nobody else waits for them meanwhile.
func TestSlowLoris(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.daemon("d", token.ScopeSessionResume)
		good := r.session(d, "d", 1)
		begin := func(conn net.Conn) <-chan struct{} {
			t.Helper()
			// A WebSocket header that promises 100 bytes, and 3 of them.
			if _, err := conn.Write([]byte{0x82, 0x80 | 100, 0, 0, 0, 0, 0x03, 0, 0}); err != nil {
				t.Fatal(err)
			}
			return deaf(conn)
		}
		fresh := begin(r.dialHand(clientToken("d", 7)))
		hand := r.dialHand(clientToken("d", 8))
		sendHand(t, hand, initFrame(8))
		d.want(initFrame(8))
		d.send(acceptFrame(8))
		old := begin(hand)
		daemon := begin(r.handDaemon("mute"))
		pass := func() {
			t.Helper()
			good.send(dataFrame(1, 40, 1))
			d.want(dataFrame(1, 40, 1))
			d.send(dataFrame(1, 40, 2))
			good.want(dataFrame(1, 40, 2))
		}
		pass()
		wait(29 * time.Second)
		if n := r.srv.Stats(); n.Clients != 3 || n.Daemons != 2 {
			t.Fatalf("too soon: %+v", n)
		}
		// By the handshake's time or by the message's, and the close, which nobody answers.
		wait(60 * time.Second)
		<-fresh
		<-old
		<-daemon
		over := map[sbrp.SessionID]bool{}
		for range 2 {
			b, _ := d.next()
			f, err := sbrp.ParseFrame(b)
			if err != nil || controlOf(b) != sbrp.CodeSessionEnded {
				t.Fatalf("got %s, want session_ended", describe(b))
			}
			over[f.SessionID] = true
		}
		pass()
		if n := r.srv.Stats(); n.Clients != 1 || n.Daemons != 1 || !over[7] || !over[8] {
			t.Errorf("got %+v, sessions over: %v", n, over)
		}
	})
}

// A WebSocket header that promises more than any frame: the answer comes from the frame's own header, after no more than a frame
// was read.
func TestHugeMessage(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	for _, tt := range []struct {
		promised uint64
		length   uint32
		code     sbrp.Code
	}{
		{1 << 40, 1<<32 - 1, sbrp.CodePayloadTooLarge},
		{1 << 40, sbrp.MaxPayload, sbrp.CodeMalformedFrame},
		{1<<63 - 1, 65537, sbrp.CodePayloadTooLarge},
	} {
		e := r.dial(clientToken("d", 7))
		b := binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, tt.promised)
		b = append(append(b, 0, 0, 0, 0), frameOf(0x03, tt.length, 7, sbrp.MaxPayload+1)...)
		if _, err := e.net.Write(b); err != nil {
			t.Fatal(err)
		}
		e.wantControl(tt.code, 0)
		d.wantControl(sbrp.CodeSessionEnded, 7)
		e.conn.CloseNow()
		eventually(t, "the client is gone", func() bool { return r.srv.Stats().Clients == 0 })
	}
	// The highest bit is none of the length's: no WebSocket at all.
	hand := r.dialHand(clientToken("d", 7))
	if _, err := hand.Write(append([]byte{0x82, 0x80 | 127}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	d.wantControl(sbrp.CodeSessionEnded, 7)
	if _, closed := readHand(t, hand); !closed {
		t.Log("closed without a WebSocket close") // either will do
	}
	d.sync()
}

// Sessions that come and go, politely and not, half of them with an id that was just used: all of them work, one that stays
// notices nothing, and nothing is left behind.
func TestChurn(t *testing.T) {
	const workers, rounds = 8, 40
	r := newRig(t, func(c *relay.Config) { c.HandshakeTimeout = time.Minute })
	d := r.wire(daemonToken("d"))
	eventually(t, "the daemon is online", func() bool { return r.srv.Online("d") })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		buf := make([]byte, sbrp.MaxFrame+1)
		for {
			n, err := d.Read(buf)
			if err != nil {
				return
			}
			switch f, _ := sbrp.ParseFrame(buf[:n]); f.Type { // a relay's frames are good
			case sbrp.FrameHandshakeInit:
				_ = d.Write(acceptFrame(f.SessionID)) // the reader notices
			case sbrp.FrameData:
				_ = d.Write(buf[:n]) // the same
			}
		}
	}()
	stays := r.wire(clientToken("d", 1))
	shakeAndEcho(t, stays, 1)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			sid := sbrp.SessionID(100 + w)
			for i := range rounds {
				if i%2 == 0 {
					sid += workers
				}
				c := r.redial(sid)
				if c == nil {
					return
				}
				shakeAndEcho(t, c, sid)
				if i%3 == 0 {
					c.Close(wsconn.StatusNormal, "")
				} else {
					c.CloseNow()
				}
			}
		})
	}
	wg.Wait()
	echo(t, stays, 1)
	eventually(t, "only one is left", func() bool { n := r.srv.Stats(); return n.Clients == 1 && n.Paired == 1 && n.Daemons == 1 })
	if n := r.srv.Stats(); n.Panics != 0 || n.QueuedBytes != 0 {
		t.Errorf("got %+v", n)
	}
	d.CloseNow()
	<-answered
}

// redial connects a client whose session id may still be in use.
func (r *rig) redial(sid sbrp.SessionID) *wsconn.Conn {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		c, err := wsconn.Dial(r.t.Context(), r.url, wsconn.DialOptions{Token: clientToken("d", sid)})
		if err == nil {
			return c
		}
		if time.Now().After(deadline) {
			r.t.Errorf("session %v: %v", sid, err)
			return nil
		}
	}
}

// shakeAndEcho takes a new session through its handshake and has a message echoed.
func shakeAndEcho(t *testing.T, c *wsconn.Conn, sid sbrp.SessionID) {
	t.Helper()
	if exchange(t, c, initFrame(sid), acceptFrame(sid)) {
		echo(t, c, sid)
	}
}

func echo(t *testing.T, c *wsconn.Conn, sid sbrp.SessionID) {
	t.Helper()
	exchange(t, c, dataFrame(sid, 300, 1), dataFrame(sid, 300, 1))
}

// exchange sends one frame and expects another; it may be called by any goroutine.
func exchange(t *testing.T, c *wsconn.Conn, out, in []byte) bool {
	t.Helper()
	if err := c.Write(out); err != nil {
		t.Errorf("%s: %v", describe(out), err)
		return false
	}
	buf := make([]byte, sbrp.MaxFrame+1)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != string(in) {
		t.Errorf("%s: got %s, %v", describe(out), describe(buf[:n]), err)
		return false
	}
	return true
}
