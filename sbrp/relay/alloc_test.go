//go:build !race

// The race detector makes sync.Pool forget at random, so allocations are counted without it.

package relay_test

import (
	"fmt"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/relay"
)

// A frame that passes costs no allocation, at neither end (package wsconn) nor here.
func TestForwardingAllocatesNothing(t *testing.T) {
	fast := relay.Rate{Messages: 1 << 30, Bytes: 1 << 30} // a limit that is never met is asked for all the same
	for _, size := range []int{64, sbrp.MaxPayload} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			r := newRig(t, func(c *relay.Config) { c.Limits.Client, c.Limits.Daemon = fast, fast })
			d, c := r.wires()
			echoed := make(chan struct{})
			go func() {
				defer close(echoed)
				buf := make([]byte, sbrp.MaxFrame+1)
				for {
					n, err := d.Read(buf)
					if err != nil || d.Write(buf[:n]) != nil {
						return
					}
				}
			}()
			frame, buf := dataFrame(7, size, 1), make([]byte, sbrp.MaxFrame+1)
			got := testing.AllocsPerRun(500, func() {
				if err := c.Write(frame); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(buf); err != nil {
					t.Fatal(err)
				}
			})
			// With large frames the client's socket is full now and then; what starts to flush it is not free.
			if limit := map[int]float64{64: 0, sbrp.MaxPayload: 3}[size]; got > limit {
				t.Errorf("%.0f allocations for a frame each way, want %.0f at most", got, limit)
			}
			d.CloseNow()
			<-echoed
		})
	}
}
