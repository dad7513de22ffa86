package relay_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// muteClient is a client past its handshake that reads nothing from then on.
func (r *rig) muteClient(d *end, daemonID string, sid sbrp.SessionID) net.Conn {
	r.t.Helper()
	conn := r.dialHand(clientToken(daemonID, sid))
	sendHand(r.t, conn, initFrame(sid))
	d.want(initFrame(sid))
	d.send(acceptFrame(sid))
	d.sync()
	return conn
}

// readHand reads the messages of a server until the close frame or the end.
func readHand(t *testing.T, conn net.Conn) (messages [][]byte, closed bool) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		h := make([]byte, 2)
		if _, err := io.ReadFull(conn, h); err != nil {
			return messages, false
		}
		n := int(h[1])
		for size, ext := 126, 2; size <= 127; size, ext = size+1, 8 {
			if int(h[1]) != size {
				continue
			}
			b := make([]byte, ext)
			if _, err := io.ReadFull(conn, b); err != nil {
				return messages, false
			}
			n = 0
			for _, x := range b {
				n = n<<8 | int(x)
			}
		}
		m := make([]byte, n)
		if _, err := io.ReadFull(conn, m); err != nil {
			return messages, false
		}
		switch h[0] {
		case 0x82:
			messages = append(messages, m)
		case 0x88:
			return messages, true
		case 0x89, 0x8a:
		default:
			t.Fatalf("WebSocket frame that begins with %#x", h[0])
		}
	}
}

// A client that does not read is ended with backpressure. Nothing that it was to get is missing in the middle; nobody else
// notices, the daemon's reader least of all; memory stays bounded.
func slowClientIsEndedAlone(t *testing.T) {
	const queue = 1 << 20
	r := newRig(t, func(c *relay.Config) { c.ClientQueue = queue })
	d := r.daemon("d")
	slow := r.muteClient(d, "d", 7)
	good := r.session(d, "d", 8)
	big := dataFrame(7, sbrp.MaxPayload, 1)
	sentFrames := 0
	var ended bool
	for sentFrames < 2000 && !ended { // 128 MB at most
		d.send(big)
		sentFrames++
		echo := dataFrame(8, 100, byte(sentFrames))
		d.send(echo)
		good.want(echo)
		if q := r.srv.Stats().QueuedBytes; q > queue+2*sbrp.MaxFrame {
			t.Fatalf("%d bytes queued", q)
		}
		select {
		case b := <-d.got:
			if controlOf(b) != sbrp.CodeSessionEnded {
				t.Fatalf("daemon got %s", describe(b))
			}
			ended = true
		default:
		}
	}
	if !ended {
		t.Fatal("the slow client was never ended")
	}
	messages, closed := readHand(t, slow)
	last := messages[len(messages)-1]
	if controlOf(last) != sbrp.CodeBackpressure || !closed {
		t.Errorf("the last message is %s, closed %v", describe(last), closed)
	}
	for i, m := range messages[1 : len(messages)-1] {
		if string(m) != string(big) {
			t.Fatalf("message %d of %d is not what was sent", i, len(messages))
		}
	}
	d.sync()
	eventually(t, "the queue is empty", func() bool { n := r.srv.Stats(); return n.QueuedBytes == 0 && n.Clients == 1 })
}

// The same when the client never reads at all: its end takes no longer than the write timeout.
func slowClientThatNeverReads(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.ClientQueue, c.WriteTimeout = 1<<20, 200*time.Millisecond })
	d := r.daemon("d")
	r.muteClient(d, "d", 7)
	for range 1000 {
		d.send(dataFrame(7, sbrp.MaxPayload, 1))
		if r.srv.Stats().Clients == 0 {
			break
		}
	}
	d.wantControl(sbrp.CodeSessionEnded, 7)
	eventually(t, "the client is gone", func() bool { n := r.srv.Stats(); return n.QueuedBytes == 0 && n.Clients == 0 })
	d.sync()
}

// As the budget of all queues runs out, the share of each shrinks; it is never exceeded by more than what is in hand.
func TestBudgetOfAllQueues(t *testing.T) {
	const budget = 8 << 20
	r := newRig(t, func(c *relay.Config) { c.Budget, c.WriteTimeout = budget, time.Second })
	d := r.daemon("d")
	const n = 8
	for sid := sbrp.SessionID(1); sid <= n; sid++ {
		r.muteClient(d, "d", sid)
	}
	// A client that is ended has a second to read why; on a quiet machine any number of rounds fits into that.
	for begin := time.Now(); r.srv.Stats().Clients > 0; {
		if time.Since(begin) > patience {
			t.Fatalf("some clients are still there after %v", patience)
		}
		for sid := sbrp.SessionID(1); sid <= n; sid++ {
			d.send(dataFrame(sid, sbrp.MaxPayload, 1))
		}
		if q := r.srv.Stats().QueuedBytes; q > budget {
			t.Fatalf("%d bytes queued, the budget is %d", q, budget)
		}
	}
	eventually(t, "nothing is queued", func() bool { return r.srv.Stats().QueuedBytes == 0 })
}

// A small frame costs a small buffer: a queue of keystrokes is not a queue of full frames.
func TestQueueOfSmallFrames(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	slow := r.muteClient(d, "d", 7)
	for r.srv.Stats().QueuedBytes == 0 { // until its socket is full
		d.send(dataFrame(7, sbrp.MaxPayload, 1))
		d.sync()
	}
	before := r.srv.Stats().QueuedBytes
	const n = 1000
	for i := range n {
		d.send(dataFrame(7, 64, byte(i)))
	}
	d.sync()
	if per := (r.srv.Stats().QueuedBytes - before) / n; per > 512 {
		t.Errorf("%d bytes for each frame of 77", per)
	}
	_ = slow.Close()
	d.wantControl(sbrp.CodeSessionEnded, 7)
	eventually(t, "the queue is empty", func() bool { return r.srv.Stats().QueuedBytes == 0 })
}

// A burst that the client takes late arrives whole and in order.
func lateClientGetsEverything(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.ClientQueue, c.WriteTimeout = 64<<20, time.Minute })
	d := r.daemon("d")
	slow := r.muteClient(d, "d", 7)
	const n = 150
	for i := range n {
		d.send(dataFrame(7, 100*i%sbrp.MaxPayload, byte(i)))
		d.send(dataFrame(7, sbrp.MaxPayload, byte(i)))
	}
	d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonNone))
	messages, closed := readHand(t, slow)
	if len(messages) != 2*n+2 || !closed {
		t.Fatalf("%d messages, closed %v", len(messages), closed)
	}
	for i := range n {
		if string(messages[1+2*i]) != string(dataFrame(7, 100*i%sbrp.MaxPayload, byte(i))) ||
			string(messages[2+2*i]) != string(dataFrame(7, sbrp.MaxPayload, byte(i))) {
			t.Fatalf("frame %d is wrong", i)
		}
	}
	if controlOf(messages[2*n+1]) != sbrp.CodeSessionExpired {
		t.Errorf("the last is %s", describe(messages[2*n+1]))
	}
}

// A daemon that does not read slows its own clients by back pressure, and loses nothing; another daemon's notice nothing. When it
// reads, every client gets the same share.
func TestSlowDaemonHoldsItsClientsOnly(t *testing.T) {
	r := newRig(t, patient)
	hand := r.handDaemon("slow")
	other := r.daemon("other")
	bystander := r.session(other, "other", 1)

	const clients, frames = 4, 150
	var wg sync.WaitGroup
	for sid := sbrp.SessionID(1); sid <= clients; sid++ {
		c := r.client("slow", sid)
		wg.Go(func() {
			for i := range frames { // 40 MB in all: more than the sockets hold
				if err := c.conn.Write(dataFrame(sid, sbrp.MaxPayload, byte(i))); err != nil {
					t.Errorf("client %d: %v", sid, err)
					return
				}
			}
		})
	}
	stuck := uint64(0)
	eventually(t, "the clients wait", func() bool {
		n := r.srv.Stats().FramesToDaemon
		bystander.send(dataFrame(1, 10, 1))
		other.want(dataFrame(1, 10, 1))
		same := n == stuck
		stuck = n + 1 // the bystander's
		return same && n > 10
	})
	// Now it reads.
	next := map[sbrp.SessionID]int{}
	most := 0
	for range clients * frames {
		m := readOneHand(t, hand)
		f, err := sbrp.ParseFrame(m)
		if err != nil {
			t.Fatal(err)
		}
		if string(m) != string(dataFrame(f.SessionID, sbrp.MaxPayload, byte(next[f.SessionID]))) {
			t.Fatalf("client %v: frame %d is wrong", f.SessionID, next[f.SessionID])
		}
		next[f.SessionID]++
		if next[f.SessionID] == frames {
			continue
		}
		lo, hi := frames, 0
		for sid := sbrp.SessionID(1); sid <= clients; sid++ {
			lo, hi = min(lo, next[sid]), max(hi, next[sid])
		}
		if lo > 0 && hi < frames {
			most = max(most, hi-lo)
		}
	}
	wg.Wait()
	// What the first ones put into the sockets before the others came counts too.
	if most > 120 {
		t.Errorf("one client was %d frames ahead of another", most)
	}
}

// patient is for tests in which somebody is slow on purpose, on a machine that may be slow too.
func patient(c *relay.Config) { c.WriteTimeout, c.HandshakeTimeout = 5*time.Minute, 5*time.Minute }

func readOneHand(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		h := make([]byte, 2)
		if _, err := io.ReadFull(conn, h); err != nil {
			t.Fatal(err)
		}
		n := int(h[1])
		ext := map[int]int{126: 2, 127: 8}[n]
		b := make([]byte, ext)
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		if ext > 0 {
			n = 0
			for _, x := range b {
				n = n<<8 | int(x)
			}
		}
		m := make([]byte, n)
		if _, err := io.ReadFull(conn, m); err != nil {
			t.Fatal(err)
		}
		if h[0] == 0x82 {
			return m
		}
	}
}

// A daemon that does not read at all is gone after the write timeout; its sessions are paused and resume with the next.
func TestDaemonThatNeverReads(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.WriteTimeout = 300 * time.Millisecond })
	hand := r.handDaemon("d", token.ScopeSessionResume)
	c := r.client("d", 7)
	c.send(initFrame(7))
	readOneHand(t, hand)
	sendHand(t, hand, acceptFrame(7))
	c.want(acceptFrame(7))
	go func() {
		for range 1000 {
			if c.conn.Write(dataFrame(7, sbrp.MaxPayload, 1)) != nil {
				return
			}
		}
	}()
	c.wantControl(sbrp.CodeSessionPaused, 7)
	d := r.dial(daemonToken("d", token.ScopeSessionResume))
	d.wantControl(sbrp.CodeSessionPending, 7)
	c.wantControl(sbrp.CodeSessionPending, 7)
	d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
	c.wantControl(sbrp.CodeSessionResumed, 7)
	c.conn.CloseNow()
}

// flood sends pings without reading until the relay has had enough.
func flood(t *testing.T, hand net.Conn) {
	t.Helper()
	if err := hand.SetWriteDeadline(time.Now().Add(6 * patience)); err != nil {
		t.Fatal(err)
	}
	ping := sbrp.AppendPing(nil, []byte("12345678"))
	batch := bytes.Repeat(append([]byte{0x82, 0x80 | byte(len(ping)), 0, 0, 0, 0}, ping...), 1000)
	for {
		if _, err := hand.Write(batch); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the relay stopped reading without ending the connection")
			}
			return
		}
	}
}

// Pings of a peer that does not read cost a bounded queue, and its reader goes on until that is full.
func TestPingFlood(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.DaemonQueue, c.ClientQueue, c.WriteTimeout = 64<<10, 128<<10, 2*time.Second })
	flood(t, r.handDaemon("d"))
	eventually(t, "the daemon is gone", func() bool { return r.srv.Stats().Daemons == 0 })
	d := r.daemon("d")
	flood(t, r.muteClient(d, "d", 7))
	d.wantControl(sbrp.CodeSessionEnded, 7)
	eventually(t, "the client is gone", func() bool { return r.srv.Stats().Clients == 0 })
	if n := r.srv.Stats(); n.Closes[sbrp.CodeBackpressure] != 2 {
		t.Errorf("got %+v", n)
	}
}

// session_ended of a client that left comes before the first frame of the next client with the same session id, also when the
// daemon is slow.
func TestSameSessionIDAgain(t *testing.T) {
	r := newRig(t, nil)
	hand := r.handDaemon("d")
	for range 50 {
		var conn *wsconn.Conn
		eventually(t, "the session id is free", func() bool {
			c, err := r.tryDial(clientToken("d", 7))
			if err == nil {
				conn = c.conn
			}
			return err == nil
		})
		if err := conn.Write(initFrame(7)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the Init has passed", func() bool { return r.srv.Stats().FramesToDaemon%2 == 1 })
		if err := conn.Write(dataFrame(7, 500, 1)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the Data has passed", func() bool { return r.srv.Stats().FramesToDaemon%2 == 0 })
		conn.CloseNow()
	}
	for range 50 {
		if m := readOneHand(t, hand); string(m) != string(initFrame(7)) {
			t.Fatalf("got %s, want Init", describe(m))
		}
		if m := readOneHand(t, hand); string(m) != string(dataFrame(7, 500, 1)) {
			t.Fatalf("got %s, want Data", describe(m))
		}
		if m := readOneHand(t, hand); controlOf(m) != sbrp.CodeSessionEnded {
			t.Fatalf("got %s, want session_ended", describe(m))
		}
	}
}

// The same while the daemon is slow and another client's frame holds the way to it.
func TestSameSessionIDAgainBehindASlowFrame(t *testing.T) {
	r := newRig(t, patient)
	hand := r.handDaemon("d")
	first := r.client("d", 7)
	first.send(initFrame(7))
	blocker := r.client("d", 8)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 60 { // 4 MB: more than these sockets hold
			if blocker.conn.Write(dataFrame(8, sbrp.MaxPayload, 1)) != nil {
				return // the daemon has gone
			}
		}
	})
	last := uint64(0)
	eventually(t, "the way is blocked", func() bool {
		first.sync()
		n := r.srv.Stats().FramesToDaemon
		same := n == last && n > 1
		last = n
		return same
	})
	first.conn.CloseNow()
	eventually(t, "the session id is free", func() bool {
		c, err := r.tryDial(clientToken("d", 7))
		if err != nil {
			return false
		}
		c.send(initFrame(7))
		return true
	})
	var said []string
	for len(said) < 3 {
		m := readOneHand(t, hand)
		f, err := sbrp.ParseFrame(m)
		if err != nil {
			t.Fatal(err)
		}
		if f.SessionID == 7 {
			said = append(said, describe(m))
		}
	}
	want := []string{describe(initFrame(7)), describe(sbrp.AppendControl(nil, 7, sbrp.CodeSessionEnded, "")), describe(initFrame(7))}
	if !slices.Equal(said, want) {
		t.Errorf("the daemon heard %q", said)
	}
	_ = hand.Close() // lets the blocker go, whose client then ends
	wg.Wait()
}
