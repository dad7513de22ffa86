package mux

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux/muxtest"
)

// TestBudgetEndsTheOldestHeldLink fills a budget with held links and has a live one want more.
func TestBudgetEndsTheOldestHeldLink(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		budget := NewBudget(0)
		sink := func(ctx context.Context, s *Session) {
			for {
				st, err := s.Accept(ctx)
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(io.Discard, st)
					_ = st.Close()
				}()
			}
		}
		small := func(c *ServerConfig) { c.WindowMin, c.WindowMax = chunkSize, chunkSize } // little in flight
		var worlds []*world
		var streams []*Stream
		var pairs []*muxtest.Pair
		var numb atomic.Bool // the peers say nothing: what was sent stays kept
		for range 3 {
			w := newWorld(t, worldOptions{handle: sink, client: func(c *ClientConfig) { c.Budget = budget }, server: small})
			defer w.close()
			pair, _ := w.connect(func(side, _ int, _ []byte) muxtest.Action { return muxtest.Action{Drop: side == 1 && numb.Load()} })
			worlds, streams, pairs = append(worlds, w), append(streams, w.open()), append(pairs, pair)
		}
		for n := range 2 {
			time.Sleep(time.Second)
			pairs[n].Cut(muxtest.ErrCut)
			go func() { _, _ = io.Copy(streams[n], endless{}) }()
			synctest.Wait()
			if st := worlds[n].client.Status(); st.Buffered == 0 {
				t.Fatalf("held link %d keeps nothing", n)
			}
		}
		budget.mu.Lock()
		budget.max = budget.used + chunkSize // the live link wants two
		budget.mu.Unlock()
		time.Sleep(evictAfter)
		numb.Store(true)
		go func() { _, _ = io.Copy(streams[2], endless{}) }()
		synctest.Wait()
		if st := worlds[2].client.Status(); st.Buffered <= chunkSize {
			t.Errorf("the live link keeps %d bytes", st.Buffered)
		}
		if st := worlds[0].client.Status(); st.State != StateLost {
			t.Fatalf("the link held for longest is %v, want it ended", st.State)
		}
		_, err := streams[0].Write([]byte("x"))
		if end, ok := errors.AsType[*LinkError](err); !ok || end.Code != CodeBudget {
			t.Errorf("the link held for longest: %v, want that the budget ended it", err)
		}
		if st := worlds[1].client.Status(); st.State != StateHeld {
			t.Errorf("the other held link is %v", st.State)
		}
		if used := budget.Used(); used > budget.max+chunkSize {
			t.Errorf("%d bytes of %d taken", used, budget.max)
		}
	})
}

// TestBudgetHoldsBackALiveLink leaves nothing to end: the writer waits, and goes on as the peer acknowledges.
func TestBudgetHoldsBackALiveLink(t *testing.T) {
	budget := NewBudget(2 * chunkSize)
	w := newWorld(t, worldOptions{client: func(c *ClientConfig) { c.Budget = budget }})
	w.connect(nil)
	for n := range 4 {
		if err := echoOne(w, uint64(n), 1<<20); err != nil {
			t.Error(err)
		}
	}
	_ = w.client.Close("done")
	if used := budget.Used(); used != 0 {
		t.Errorf("%d bytes taken after the end", used)
	}
}

// TestBudgetLeavesEachLinkSome has one link take all there is, as a client does that acknowledges nothing: another one
// still gets through, and does not have to wait until the first is found out.
func TestBudgetLeavesEachLinkSome(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		budget := NewBudget(4 * chunkSize)
		shared := func(c *ClientConfig) { c.Budget = budget }
		var numb atomic.Bool
		greedy := newWorld(t, worldOptions{client: shared, server: func(c *ServerConfig) { c.WindowMin = 1 << 20 }})
		defer greedy.close()
		greedy.connect(func(side, _ int, _ []byte) muxtest.Action { return muxtest.Action{Drop: side == 1 && numb.Load()} })
		st := greedy.open()
		synctest.Wait()
		numb.Store(true)
		go func() { _, _ = io.Copy(st, endless{}) }()
		synctest.Wait()
		if used := budget.Used(); used < budget.max {
			t.Fatalf("%d bytes of %d taken", used, budget.max)
		}
		modest := newWorld(t, worldOptions{client: shared})
		defer modest.close()
		modest.connect(nil)
		begin := time.Now()
		if err := echoOne(modest, 1, 1<<20); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the other link had to wait for %v", d)
		}
		if st := greedy.client.Status(); st.State != StateLive {
			t.Errorf("the link that takes all is %v: it was found out before the other got through", st.State)
		}
		if used := budget.Used(); used > budget.max+spareChunks*chunkSize {
			t.Errorf("%d bytes of %d taken", used, budget.max)
		}
	})
}

// TestBudgetWakesWhoWaits has a link wait for memory that another one keeps, which then loses its path: it is ended
// soon, and not when its hold time is over; but not at once, for it may come back.
func TestBudgetWakesWhoWaits(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		budget := NewBudget(4 * chunkSize)
		var numb atomic.Bool
		var worlds []*world
		var pairs []*muxtest.Pair
		for range 2 {
			w := newWorld(t, worldOptions{
				client: func(c *ClientConfig) { c.Budget = budget },
				server: func(c *ServerConfig) { c.WindowMin = 1 << 20 },
			})
			defer w.close()
			pair, _ := w.connect(func(side, _ int, _ []byte) muxtest.Action { return muxtest.Action{Drop: side == 1 && numb.Load()} })
			worlds, pairs = append(worlds, w), append(pairs, pair)
		}
		first, second := worlds[0].open(), worlds[1].open()
		synctest.Wait()
		numb.Store(true)
		go func() { _, _ = io.Copy(first, endless{}) }()
		synctest.Wait()
		go func() { _, _ = io.Copy(second, endless{}) }()
		synctest.Wait()
		if st := worlds[1].client.Status(); st.Buffered > spareChunks*chunkSize {
			t.Fatalf("the second link keeps %d bytes although the first has taken all", st.Buffered)
		}
		pairs[0].Cut(muxtest.ErrCut)
		time.Sleep(evictAfter - time.Nanosecond)
		synctest.Wait()
		if st := worlds[0].client.Status(); st.State != StateHeld {
			t.Errorf("the first link is %v just before %v, want it held", st.State, evictAfter)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if st := worlds[0].client.Status(); st.State != StateLost {
			t.Errorf("the first link is %v after %v, want it ended", st.State, evictAfter)
		}
		if st := worlds[1].client.Status(); st.Buffered <= spareChunks*chunkSize {
			t.Errorf("the second link still keeps only %d bytes", st.Buffered)
		}
	})
}

// TestSendBuffer compares the buffer with a plain slice.
func TestSendBuffer(t *testing.T) {
	var s sendBuffer
	var model []byte
	taken := 0
	r := uint64(1)
	for range 3000 {
		r = mix(r)
		n := int(r % 50_000)
		missing := s.missing(n)
		s.grow(missing)
		taken += missing
		at := int(r >> 20 % 1000)
		s.write(modelData[at:][:n])
		model = append(model, modelData[at:][:n]...)
		from := s.start + r>>32%(uint64(len(model))+1)
		m := int(min(r>>40%100_000, s.end-from))
		if got := s.appendTo(nil, from, m); string(got) != string(model[from-s.start:][:m]) {
			t.Fatalf("bytes [%d, +%d) of [%d, %d) differ", from, m, s.start, s.end)
		}
		to := s.start + r>>48%(uint64(len(model))+1)
		if len(model) > 1<<20 {
			to = s.end
		}
		model = model[to-s.start:]
		taken -= s.release(to, 0)
		if taken != len(s.chunks) || (len(model) == 0 && taken != 0) || taken > len(model)/chunkSize+2 {
			t.Fatalf("%d chunks taken, %d there, for %d bytes", taken, len(s.chunks), len(model))
		}
	}
}
