package relay_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// wire is an end without a reader of its own.
func (r *rig) wire(tok string) *wsconn.Conn {
	r.t.Helper()
	c, err := wsconn.Dial(context.Background(), r.url, wsconn.DialOptions{Token: tok, TLS: &tls.Config{RootCAs: r.roots}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.CloseNow)
	return c
}

// wires returns a daemon and a client past their handshake.
func (r *rig) wires() (d, c *wsconn.Conn) {
	r.t.Helper()
	d = r.wire(daemonToken("d"))
	eventually(r.t, "the daemon is there", func() bool { return r.srv.Online("d") })
	c = r.wire(clientToken("d", 7))
	buf := make([]byte, sbrp.MaxFrame+1)
	for _, s := range []struct {
		from, to *wsconn.Conn
		frame    []byte
	}{{c, d, initFrame(7)}, {d, c, acceptFrame(7)}} {
		if err := s.from.Write(s.frame); err != nil {
			r.t.Fatal(err)
		}
		if _, err := s.to.Read(buf); err != nil {
			r.t.Fatal(err)
		}
	}
	return d, c
}

// inFlight is how many frames are under way: 2 MiB of full ones.
const inFlight = 32

// BenchmarkForward is one stream through the relay; both ends and the relay are in this process. The bytes of whole frames count.
func BenchmarkForward(b *testing.B) {
	for _, size := range []int{sbrp.MaxPayload, 64} {
		for _, way := range []string{"up", "down"} {
			b.Run(fmt.Sprintf("size=%d/%s", size, way), func(b *testing.B) {
				r := newRig(b, nil)
				d, c := r.wires()
				from, to := c, d
				if way == "down" {
					from, to = d, c
				}
				frame, last := dataFrame(7, size, 1), dataFrame(7, 0, 0)
				done := make(chan struct{})
				// What is under way is bounded, as a link bounds it: a sender without bounds gets its client ended.
				window := make(chan struct{}, inFlight)
				go func() {
					defer close(done)
					buf := make([]byte, sbrp.MaxFrame+1)
					for {
						n, err := to.Read(buf)
						if err != nil {
							b.Error(err)
							return
						}
						if n == len(last) {
							return
						}
						<-window
					}
				}()
				b.SetBytes(int64(len(frame)))
				b.ReportAllocs()
				for b.Loop() {
					window <- struct{}{}
					if err := from.Write(frame); err != nil {
						b.Fatal(err)
					}
				}
				if err := from.Write(last); err != nil {
					b.Fatal(err)
				}
				<-done
			})
		}
	}
}

// BenchmarkRoundTrip is a keystroke and its echo.
func BenchmarkRoundTrip(b *testing.B) {
	r := newRig(b, nil)
	d, c := r.wires()
	go func() {
		buf := make([]byte, sbrp.MaxFrame+1)
		for {
			n, err := d.Read(buf)
			if err != nil || d.Write(buf[:n]) != nil {
				return
			}
		}
	}()
	frame, buf := dataFrame(7, 64, 1), make([]byte, sbrp.MaxFrame+1)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
