package endpoint_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp/endpoint"
)

// world is a machine whose sleep and network a test decides.
type world struct {
	network atomic.Pointer[string]
	slept   atomic.Int64 // nanoseconds that only the wall clock counted
	start   time.Time
}

func newWorld() *world {
	w := &world{start: time.Now()}
	w.set("10.0.0.1")
	return w
}

func (w *world) set(network string) { w.network.Store(&network) }

func (w *world) Network() string { return *w.network.Load() }

func (w *world) Clock() (time.Time, time.Duration) {
	now := time.Now()
	return now.Round(0).Add(time.Duration(w.slept.Load())), now.Sub(w.start)
}

func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var calls atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- (&endpoint.Watcher{Around: w}).Run(ctx, func() { calls.Add(1) })
		}()
		expect := func(what string, n int32) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if got := calls.Swap(0); got != n {
				t.Errorf("%s: %d calls, want %d", what, got, n)
			}
		}
		expect("nothing", 0)
		w.set("10.0.0.2")
		expect("another address", 1)
		w.set("")
		expect("no network", 1)
		w.set("10.0.0.2")
		expect("the network is back", 1)
		w.slept.Add(int64(time.Hour))
		expect("slept for an hour", 1)
		w.slept.Add(int64(time.Second))
		expect("clock set by a second", 0)
		w.slept.Add(-int64(time.Hour))
		expect("clock set back", 0)
		w.slept.Add(int64(time.Minute))
		w.set("10.0.0.3")
		expect("slept, and the network changed", 1)
		time.Sleep(time.Hour)
		expect("a quiet hour", 0)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// On this machine: nothing changes, and looking is cheap and says something.
func TestWatcherOnThisMachine(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	w := &endpoint.Watcher{Interval: 5 * time.Millisecond}
	if err := w.Run(ctx, func() {}); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if endpoint.ThisNetwork() == "" {
		t.Error("the network of this machine is described by nothing")
	}
}

func BenchmarkNetwork(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		endpoint.ThisNetwork()
	}
}
