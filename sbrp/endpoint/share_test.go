package endpoint_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// A session whose queue overflows is ended with the reason policy; the others do
// not notice.
func TestQueueOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		good := r.dial(nil)
		c, err := endpoint.DialSession(t.Context(), r.client())
		if err != nil {
			t.Fatal(err)
		}
		bad := pump(t, c)
		stalled := <-r.accepted // nobody receives there
		text := strings.Repeat("z", 60_000)
		limit := endpoint.QueueBytes / len(text)
		for i := range limit - 1 {
			bad.send(text)
			if i%50 == 0 {
				good.talk("beside")
			}
		}
		synctest.Wait()
		if stalled.Err() != nil {
			t.Fatalf("session ended before its queue was full: %v", stalled.Err())
		}
		if n := r.daemon.Stats().QueuedBytes; n < int64(limit-2)*60_000 || n > endpoint.QueueBytes+10<<20 {
			t.Errorf("%d bytes queued, want about %d", n, endpoint.QueueBytes)
		}
		for range 10 {
			_ = bad.Send(packet(text))
		}
		bad.wantEnd() // by session_expired, or by the write into the closed WebSocket
		synctest.Wait()
		r.wantSignals(c.ID(), closed(c.ID(), sbrp.ReasonPolicy))
		if s := r.daemon.Stats(); s.QueuedBytes != 0 || s.Overflows != 1 {
			t.Errorf("Stats = %+v, want nothing queued and one overflow", s)
		}
		good.talk("afterwards")
	})
}

// Many small frames do not hold large buffers, and are bounded in number.
func TestQueueOfSmallFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		c, err := endpoint.DialSession(t.Context(), r.client())
		if err != nil {
			t.Fatal(err)
		}
		bad := pump(t, c)
		<-r.accepted
		sent := 0
		for bad.Send(packet("k")) == nil && sent < 200_000 {
			sent++
			if sent == 10_000 {
				synctest.Wait()
				if n := r.daemon.Stats().QueuedBytes; n > 10_000*512 {
					t.Errorf("10,000 small frames hold %d bytes, want at most 512 each", n)
				}
			}
		}
		bad.wantEnd()
		synctest.Wait()
		r.wantSignals(c.ID(), closed(c.ID(), sbrp.ReasonPolicy))
		if sent < 60_000 || sent > 70_000 {
			t.Errorf("session ended after %d small frames, want 65,536", sent)
		}
	})
}

// When all sessions together hold too much, the one that holds most goes.
func TestQueueBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.QueueBudget = 4 << 20 })
		text := strings.Repeat("z", 60_000)
		var all []*end
		for i := range 5 {
			c, err := endpoint.DialSession(t.Context(), r.client())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pump(t, c))
			<-r.accepted
			for range 25 - 5*i {
				all[i].send(text)
			}
		}
		// 75 frames of 64 KiB are more than 4 MiB: the first session, with 25, goes.
		all[0].wantCode(sbrp.CodeSessionExpired)
		synctest.Wait()
		for i, e := range all[1:] {
			if e.Err() != nil {
				t.Errorf("session %d of 5 ended: %v", i+1, e.Err())
			}
		}
		if n := r.daemon.Stats().QueuedBytes; n > 4<<20 || n < 50*60_000 {
			t.Errorf("%d bytes queued, want those of 50 frames", n)
		}
	})
}

// Sessions share the daemon's socket frame by frame, first come first served:
// one that sends without pause does not keep another waiting.
func TestFairSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		var order []sbrp.SessionID
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.From == sbrp.RoleDaemon && p.Frame.Type == sbrp.FrameData {
				order = append(order, p.SessionID)
				time.Sleep(time.Millisecond) // a slow socket
			}
			return [][]byte{p.Message}
		})
		const sessions, each = 5, 40
		var wg sync.WaitGroup
		for range sessions {
			x := r.dial(nil)
			wg.Go(func() {
				for i := range each {
					x.daemon.send(numbered(i))
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(order) != sessions*each {
			t.Fatalf("%d frames passed, want %d", len(order), sessions*each)
		}
		// Once the socket is full, each round serves each session once.
		last := make(map[sbrp.SessionID]int)
		for i, id := range order[:len(order)-sessions*4] {
			if before, seen := last[id]; seen && i > 40 && i-before > sessions+2 {
				t.Errorf("frame %d: session %v waited for %d frames of others", i, id, i-before-1)
			}
			last[id] = i
		}
	})
}

// Close ends a Send that waits for its turn on the shared socket, and the others
// go on.
func TestCloseUnblocksSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x, y := r.dial(nil), r.dial(nil)
		r.relay.FreezeDaemon(daemonID, true)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				if err := x.daemon.Send(packet("fills the socket")); err != nil {
					t.Errorf("x: Send = %v", err)
				}
			}
		})
		synctest.Wait()
		errs := make(chan error, 2)
		for range 2 { // one waits for the socket, one for the session's own lock
			go func() { errs <- y.daemon.Send(packet("waits")) }()
		}
		synctest.Wait()
		_ = y.daemon.Close("enough")
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Send after Close = %v, want net.ErrClosed", err)
			}
		}
		r.relay.FreezeDaemon(daemonID, false)
		wg.Wait()
		for range 50 {
			x.client.want("fills the socket")
		}
	})
}

// A slow session at the relay's other side waits on its own... as far as the
// daemon is concerned: handshakes and answers do not wait for the reader.
func TestHandshakeWhileSocketIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.FreezeDaemon(daemonID, true)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				x.daemon.send("fills the socket")
			}
		})
		synctest.Wait()
		dialed := make(chan error, 20)
		for range 20 {
			go func() {
				c, err := endpoint.DialSession(t.Context(), r.client())
				if err == nil {
					err = c.Close("enough")
				}
				dialed <- err
			}()
		}
		synctest.Wait()
		// The reader goes on meanwhile: what the client says arrives.
		x.client.send("reading goes on")
		x.daemon.want("reading goes on")
		time.Sleep(time.Second)
		r.relay.FreezeDaemon(daemonID, false)
		for range 20 {
			if err := <-dialed; err != nil {
				t.Errorf("DialSession = %v", err)
			}
		}
		wg.Wait()
	})
}

// Senders, receivers, closers and cuts at the same time, over real sockets.
func TestManyThingsAtOnce(t *testing.T) {
	relay := sbrptest.NewRelay()
	r := start(t, relay, relay.Listen(t), nil)
	const sessions = 8
	var wg sync.WaitGroup
	all := make([]*ends, sessions)
	for i := range all {
		all[i] = r.dial(nil)
	}
	for i, x := range all {
		for _, e := range []*end{x.client, x.daemon} {
			for j := range 2 {
				wg.Go(func() {
					for n := range 300 {
						if err := e.Send(packet(fmt.Sprintf("%s %d %d", e.name, j, n))); err != nil {
							if i%2 == 0 && !errors.Is(err, net.ErrClosed) && !isCode(sbrp.CodeSessionEnded)(err) && !isCode(sbrp.CodeSessionExpired)(err) {
								t.Errorf("%s %d: Send = %v", e.name, i, err)
							}
							return
						}
					}
				})
			}
		}
		if i%2 == 0 {
			wg.Go(func() { _ = x.client.Close("half way") })
		}
	}
	wg.Go(func() { relay.CutDaemon(daemonID) })
	wg.Wait()
	for i, x := range all {
		if i%2 == 1 {
			x.client.wantPath(true, 1)
		}
	}
}

// fill makes x's daemon send until the frozen socket is full, and returns how to
// wait for the end of it.
func (r *rig) fill(x *ends) (wait func()) {
	r.relay.FreezeDaemon(daemonID, true)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			_ = x.daemon.Send(packet("fills the socket")) // the socket may break meanwhile
		}
	})
	synctest.Wait()
	return wg.Wait
}

// The WebSocket is lost before HandshakeAccept is written: the session is not
// kept (the relay tells the client daemon_offline), and the worker goes on.
func TestHandshakeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		wait := r.fill(x)
		dialed := make(chan error, 1)
		go func() {
			_, err := endpoint.DialSession(t.Context(), r.client())
			dialed <- err
		}()
		synctest.Wait()
		if n := r.daemon.Stats().Sessions; n != 2 {
			t.Fatalf("%d sessions, want the one that shakes hands too", n)
		}
		r.relay.CutDaemon(daemonID)
		if err := <-dialed; !isCode(sbrp.CodeDaemonOffline)(err) {
			t.Errorf("DialSession = %v, want daemon_offline", err)
		}
		wait()
		x.client.wantPath(true, 1)
		if s := r.daemon.Stats(); s.Sessions != 1 || s.HandshakesRefused != 1 {
			t.Errorf("Stats = %+v, want one session and one handshake refused", s)
		}
		r.dial(nil).talk("another")
	})
}

// HandshakeAccept that cannot be written in time is a handshake timeout, and so
// is a HandshakeInit that waited for too long.
func handshakeTimeoutAtDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.HandshakeTimeout = time.Second })
		x := r.dial(nil)
		wait := r.fill(x)
		dialed := make(chan error, 8)
		for range cap(dialed) {
			go func() {
				s, err := endpoint.DialSession(t.Context(), r.client())
				if err == nil {
					pump(t, s).wantCode(sbrp.CodeSessionExpired)
				}
				dialed <- err
			}()
		}
		time.Sleep(2 * time.Second)
		r.relay.FreezeDaemon(daemonID, false)
		for range cap(dialed) {
			if err := <-dialed; err == nil {
				// Its HandshakeAccept was written too late: Signal(close) follows.
				continue
			} else if !isCode(sbrp.CodeSessionExpired)(err) {
				t.Errorf("DialSession = %v, want session_expired", err)
			}
		}
		wait()
		synctest.Wait()
		if s := r.daemon.Stats(); s.Sessions != 1 || s.HandshakesRefused != uint64(cap(dialed)) {
			t.Errorf("Stats = %+v, want one session and %d handshakes refused", s, cap(dialed))
		}
		for range 50 {
			x.client.want("fills the socket")
		}
		x.talk("untouched")
	})
}
