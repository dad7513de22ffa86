package mux

import (
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// slowCarrier takes its time to send.
type slowCarrier struct{ *muxtest.Carrier }

func (c slowCarrier) Send(buf []byte) error {
	time.Sleep(10 * time.Millisecond)
	return c.Carrier.Send(buf)
}

// TestCloseAtConnect closes a client while its handshake is telling that it is connected: the server hears of it nevertheless, and
// does not keep a link that nobody comes back to.
func TestCloseAtConnect(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		var w *world
		closed := make(chan error, 1)
		w = newWorld(t, worldOptions{client: func(c *ClientConfig) {
			c.OnEvent = func(e Event) {
				if e.Kind == EventConnected {
					go func() { closed <- w.client.Close("paired") }()
					<-w.client.life.Done()
				}
			}
		}})
		defer w.close()
		p := muxtest.NewPair(nil)
		w.done.Go(func() { _ = w.server.Serve(w.ctx, p.B) })
		w.done.Go(func() { _ = w.client.Serve(w.ctx, slowCarrier{p.A}) })
		if err := <-closed; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if links := w.server.Links(); len(links) != 0 {
			t.Errorf("the server keeps %+v", links)
		}
	})
}
