package mux

import (
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux/muxtest"
)

// TestHundredHeldLinksKeepWithinTheBudget fills the buffers of 100 links that lose their path one by one.
func TestHundredHeldLinksKeepWithinTheBudget(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		budget := NewBudget(100 * chunkSize)
		handle, _ := accepting() // nobody reads: what is on its way when the path goes stays in the buffer
		o := worldOptions{handle: handle, client: func(c *ClientConfig) { c.Budget = budget }}
		var writing sync.WaitGroup
		var most int64
		var worlds []*world
		for range 100 {
			var hole blackhole
			w := newWorld(t, o)
			worlds = append(worlds, w)
			pair, _ := w.connect(hole.fault)
			s := w.open()
			synctest.Wait()
			hole.on.Store(true)
			writing.Go(func() { _, _ = io.Copy(s, endless{}) })
			time.Sleep(time.Second)
			most = max(most, budget.Used())
			pair.Cut(muxtest.ErrCut)
			synctest.Wait()
			most = max(most, budget.Used())
		}
		held, lost := 0, 0
		for _, w := range worlds {
			switch w.client.Status().State {
			case StateHeld:
				held++
			case StateLost:
				lost++
			}
		}
		t.Logf("%d held, %d ended, %d KiB at most of %d", held, lost, most>>10, budget.max>>10)
		if most > budget.max+10*chunkSize || held == 0 || lost == 0 {
			t.Errorf("%d held, %d ended, %d bytes at most of %d", held, lost, most, budget.max)
		}
		for _, w := range worlds {
			w.close()
		}
		writing.Wait()
		if used := budget.Used(); used != 0 {
			t.Errorf("%d bytes taken after the end", used)
		}
	})
}
