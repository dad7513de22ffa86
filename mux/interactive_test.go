package mux

import (
	"io"
	"sync"
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// TestKeystrokeBesideBulk measures the round trip of single bytes while another stream fills a path, and how well it
// fills it. The path queues whatever it is given, so only the link's window keeps the queue short.
func TestKeystrokeBesideBulk(t *testing.T) {
	paths := []struct {
		name   string
		shape  *muxtest.Shape
		most   time.Duration // median round trip of a keystroke
		atRate float64       // part of the path's rate that bulk must reach
	}{
		{"60 MB/s, 100 ms", &muxtest.Shape{Rate: 60e6, Latency: 50 * time.Millisecond}, 130 * time.Millisecond, 0.9},
		{"10 MB/s, 20 ms", &muxtest.Shape{Rate: 10e6, Latency: 10 * time.Millisecond}, 40 * time.Millisecond, 0.85},
		{"1 MB/s, 40 ms", &muxtest.Shape{Rate: 1e6, Latency: 20 * time.Millisecond}, 130 * time.Millisecond, 0.85},
	}
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			muxtest.Bubble(t, func(t *testing.T) {
				handle, streams := accepting()
				w := newWorld(t, worldOptions{handle: handle})
				defer w.close()
				w.connect(p.shape.Fault)
				bulk, key := w.open(), w.open()
				there, echo := <-streams, <-streams
				if there.id != bulk.id {
					there, echo = echo, there
				}
				var running sync.WaitGroup
				running.Go(func() { _, _ = io.Copy(bulk, endless{}) })
				running.Go(func() { _, _ = io.Copy(echo, echo) })
				running.Go(func() { _, _ = io.Copy(io.Discard, there) })
				time.Sleep(4 * time.Second) // the window finds its size
				st := w.server.Links()[0]
				start, before := time.Now(), st.Received
				var trips []time.Duration
				for time.Since(start) < 4*time.Second {
					sent := time.Now()
					mustWrite(t, key, "k")
					mustRead(t, key, "k")
					trips = append(trips, time.Since(sent))
					time.Sleep(50 * time.Millisecond)
				}
				st = w.server.Links()[0]
				rate := float64(st.Received-before) / time.Since(start).Seconds()
				median := trips[len(trips)/2]
				t.Logf("median round trip %v of %d, bulk %.1f MB/s, window %d KiB", median.Round(time.Millisecond), len(trips), rate/1e6, st.Window>>10)
				if median > p.most {
					t.Errorf("median round trip %v, at most %v", median, p.most)
				}
				if rate < p.atRate*float64(p.shape.Rate) {
					t.Errorf("bulk %.1f MB/s of %.1f", rate/1e6, float64(p.shape.Rate)/1e6)
				}
				_ = bulk.Reset()
				_ = key.Reset()
				running.Wait()
			})
		})
	}
}
