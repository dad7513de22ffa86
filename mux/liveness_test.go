package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux/muxtest"
)

// blackhole is a fault that loses everything once it is on, and counts what is sent.
type blackhole struct {
	on   atomic.Bool
	sent atomic.Int64
}

func (b *blackhole) fault(int, int, []byte) muxtest.Action {
	b.sent.Add(1)
	return muxtest.Action{Drop: b.on.Load()}
}

func TestDeadPathIsNoticed(t *testing.T) {
	tests := []struct {
		name    string
		write   bool
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"with data waiting", true, 5 * time.Second, 10 * time.Second},
		{"idle", false, 9 * time.Second, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			muxtest.Bubble(t, func(t *testing.T) {
				var hole blackhole
				w := newWorld(t, worldOptions{})
				defer w.close()
				_, errs := w.connect(hole.fault)
				s := w.open()
				mustWrite(t, s, "x")
				mustRead(t, s, "x")
				time.Sleep(time.Hour) // idle, but alive
				if k := w.kinds(); !slices.Equal(k, []EventKind{EventConnected}) {
					t.Fatalf("events of an idle hour: %v", k)
				}
				hole.on.Store(true)
				start := time.Now()
				if tt.write {
					mustWrite(t, s, "lost at first")
				}
				err := <-errs
				noticed := errors.Is(err, ErrCarrierDead) || errors.Is(err, net.ErrClosed) // by this end or the other
				if took := time.Since(start); !noticed || took < tt.atLeast || took > tt.atMost {
					t.Errorf("noticed after %v: %v, want within %v and %v", took, err, tt.atLeast, tt.atMost)
				}
				w.connect(nil)
				if tt.write {
					mustRead(t, s, "lost at first")
				}
			})
		})
	}
}

func TestNothingIsSentWhilePathIsDown(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		var hole blackhole
		w := newWorld(t, worldOptions{})
		defer w.close()
		pair, errs := w.connect(hole.fault)
		s := w.open()
		time.Sleep(time.Minute)
		pair.SetPath(false, 0)
		synctest.Wait()
		before := hole.sent.Load()
		mustWrite(t, s, "waits")
		time.Sleep(45 * time.Second)
		if n := hole.sent.Load() - before; n != 0 {
			t.Errorf("%d messages while the path was down", n)
		}
		if st := w.client.Status(); st.State != StateHeld || st.Buffered == 0 {
			t.Errorf("status %+v, want held", st)
		}
		pair.SetPath(true, 1)
		mustRead(t, s, "waits")
		if k := w.kinds(); !slices.Equal(k, []EventKind{EventConnected, EventHeld, EventResumed}) {
			t.Errorf("events %v", k)
		}
		w.mu.Lock()
		if e := w.events[2]; e.After != 45*time.Second || e.Kept != 1 || e.Lost != 0 {
			t.Errorf("resumed: %+v, want after 45 s with 1 stream", e)
		}
		w.mu.Unlock()

		pair.Lie(false, 1) // a path that is said to be down for ever
		start := time.Now()
		err := <-errs
		if noticed := errors.Is(err, ErrCarrierDead) || errors.Is(err, net.ErrClosed); !noticed || time.Since(start) != maxPathDown {
			t.Errorf("after %v: %v, want ErrCarrierDead, or the other end's after %v", time.Since(start), err, maxPathDown)
		}
	})
}

func TestFalseHintsCostNoBytes(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		defer w.close()
		pair, _ := w.connect(nil)
		s := w.open()
		var lying sync.WaitGroup
		defer lying.Wait()
		lying.Go(func() {
			for n := range uint32(200) {
				pair.Lie(n%2 == 0, n/3)
				time.Sleep(7 * time.Millisecond)
			}
			pair.Lie(true, 100)
		})
		data := modelData[:300_000]
		go func() {
			_, _ = s.Write(data)
			_ = s.CloseWrite()
		}()
		if got, err := io.ReadAll(s); err != nil || !slices.Equal(got, data) {
			t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
		}
	})
}

func TestHoldTime(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		handle, streams := accepting()
		w := newWorld(t, worldOptions{
			handle: handle,
			client: func(c *ClientConfig) { c.HoldTime = time.Hour },
			server: func(c *ServerConfig) { c.HoldTime = 2 * time.Minute },
		})
		defer w.close()
		pair, _ := w.connect(nil)
		here := w.open()
		there := <-streams
		mustWrite(t, here, "x")
		mustRead(t, there, "x")
		if wel, _ := w.client.Welcome(); wel.HoldTime != 2*time.Minute {
			t.Errorf("hold time of WELCOME: %v", wel.HoldTime)
		}
		synctest.Wait()
		pair.Cut(muxtest.ErrCut)
		start := time.Now()
		for _, s := range []*Stream{here, there} {
			_, err := s.Read(make([]byte, 1))
			if end, ok := errors.AsType[*LinkError](err); !ok || end.Code != CodeHoldTime || time.Since(start) != 2*time.Minute {
				t.Errorf("after %v: %v, want the end of the hold time", time.Since(start), err)
			}
		}
		synctest.Wait()
		if k := w.kinds(); !slices.Equal(k, []EventKind{EventConnected, EventHeld, EventLost}) {
			t.Errorf("events %v", k)
		}
		if st := w.client.Status(); st.State != StateLost {
			t.Errorf("state %v", st.State)
		}
		if n := len(w.server.Links()); n != 0 {
			t.Errorf("%d links", n)
		}

		// The next link has what was set meanwhile.
		for _, set := range []func(time.Duration) error{w.client.SetHoldTime, w.server.SetHoldTime} {
			if err := set(maxHoldTime + 1); err == nil || CheckHoldTime(maxHoldTime+1) == nil {
				t.Error("more than the most is taken")
			}
			if err := set(0); err != nil {
				t.Error(err)
			}
		}
		if err := w.client.SetHoldTime(30 * time.Second); err != nil {
			t.Error(err)
		}
		w.connect(nil)
		synctest.Wait()
		if wel, _ := w.client.Welcome(); wel.HoldTime != 30*time.Second {
			t.Errorf("hold time of the next WELCOME: %v", wel.HoldTime)
		}
	})
}

func TestOpenWaitsForALiveLink(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		defer w.close()
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		if _, err := w.client.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a link: %v", err)
		}
		opened := make(chan time.Duration, 1)
		open := func() {
			start := time.Now()
			if _, err := w.client.Open(w.ctx); err != nil {
				t.Error(err)
			}
			opened <- time.Since(start)
		}
		go open()
		time.Sleep(time.Minute)
		pair, _ := w.connect(nil)
		if d := <-opened; d != time.Minute {
			t.Errorf("opened after %v", d)
		}
		pair.SetPath(false, 0)
		synctest.Wait()
		go open()
		time.Sleep(20 * time.Second)
		pair.SetPath(true, 1)
		if d := <-opened; d < 20*time.Second || d > 21*time.Second {
			t.Errorf("opened after %v, want when the path was back", d)
		}
	})
}

func TestForgottenStreamIsReset(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		handle, streams := accepting()
		w := newWorld(t, worldOptions{handle: handle})
		defer w.close()
		w.connect(nil)
		here := w.open()
		there := <-streams
		_ = here.Close()
		start := time.Now()
		wantReadError(t, there, io.EOF)
		_, err := io.Copy(there, endless{})
		if !errors.Is(err, ErrReset) || time.Since(start) != streamLinger {
			t.Errorf("after %v: %v, want a reset after %v", time.Since(start), err, streamLinger)
		}
		synctest.Wait()
		if n := w.client.Status().Streams; n != 0 {
			t.Errorf("%d streams left", n)
		}
		if n := w.client.session.ys.NumStreams(); n != 0 {
			t.Errorf("%d streams left in yamux", n)
		}
	})
}

func TestHandshakeTakesTenSecondsAtMost(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		defer w.close()
		for side, serve := range []func(*muxtest.Pair) error{
			func(p *muxtest.Pair) error { return w.client.Serve(w.ctx, p.A) },
			func(p *muxtest.Pair) error { return w.server.Serve(w.ctx, p.B) },
		} {
			start := time.Now()
			err := serve(muxtest.NewPair(nil))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != handshakeTimeout {
				t.Errorf("side %d: %v after %v", side, err, time.Since(start))
			}
		}
	})
}

// TestCloseDoesNotWaitForAStuckCarrier closes while Send blocks and nobody receives.
func TestCloseDoesNotWaitForAStuckCarrier(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		defer w.close()
		var hole blackhole
		w.connect(hole.fault)
		s := w.open()
		time.Sleep(time.Second)
		hole.on.Store(true)
		go func() { _, _ = io.Copy(s, endless{}) }()
		time.Sleep(time.Second)
		start := time.Now()
		_ = w.client.Close("enough")
		if took := time.Since(start); took > closeLinger+2*closeBlocked {
			t.Errorf("close took %v", took)
		}
		wantReadError(t, s, net.ErrClosed)
	})
}

// TestQuietDataIsAcknowledged wants an ACK though nobody has anything to send and the window is far from used.
func TestQuietDataIsAcknowledged(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		handle, streams := accepting()
		w := newWorld(t, worldOptions{handle: handle})
		defer w.close()
		var hole blackhole
		w.connect(hole.fault)
		here := w.open()
		there := <-streams
		time.Sleep(time.Second)
		mustWrite(t, here, "x")
		mustRead(t, there, "x")
		if n := w.client.Status().Buffered; n == 0 {
			t.Error("acknowledged at once: every keystroke would be")
		}
		time.Sleep(ackDelay + time.Millisecond)
		synctest.Wait()
		if n := w.client.Status().Buffered; n != 0 {
			t.Errorf("%d bytes are not acknowledged after %v", n, ackDelay)
		}
		before := hole.sent.Load()
		time.Sleep(10 * time.Second)
		if n := hole.sent.Load() - before; n != 0 {
			t.Errorf("%d messages in 10 s of a quiet link", n)
		}
	})
}
