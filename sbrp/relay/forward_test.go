package relay_test

import (
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/wsconn"
)

func forwardsTheSameBytes(t *testing.T, r *rig) {
	d := r.daemon("d")
	c := r.session(d, "d", 7)
	for _, n := range []int{0, 1, 28, 240, 4096, 16384, 65535, 65536} {
		up := dataFrame(7, n, 1)
		c.send(up)
		d.want(up)
		down := dataFrame(7, n, 2)
		d.send(down)
		c.want(down)
	}
	c.close()
	d.wantControl(sbrp.CodeSessionEnded, 7)
}

// A burst both ways at once over TLS, to a client that takes its time: all of it arrives, in order.
func TestBurstOverTLS(t *testing.T) {
	r := newSecureRig(t, func(c *relay.Config) { patient(c); c.ClientQueue = 64 << 20 })
	d := r.wire(daemonToken("d"))
	eventually(t, "the daemon is online", func() bool { return r.srv.Online("d") })
	c := r.wire(clientToken("d", 7))
	buf := make([]byte, sbrp.MaxFrame+1)
	pass := func(from, to *wsconn.Conn, frame []byte) {
		t.Helper()
		if err := from.Write(frame); err != nil {
			t.Fatal(err)
		}
		if n, err := to.Read(buf); err != nil || string(buf[:n]) != string(frame) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	pass(c, d, initFrame(7))
	pass(d, c, acceptFrame(7))
	const n = 100
	written := make(chan error, 2)
	for _, from := range []*wsconn.Conn{c, d} {
		go func() {
			var err error
			for i := 0; i < n && err == nil; i++ {
				err = from.Write(dataFrame(7, sbrp.MaxPayload-i, byte(i)))
			}
			written <- err
		}()
	}
	read := func(to *wsconn.Conn) {
		t.Helper()
		for i := range n {
			k, err := to.Read(buf)
			if err != nil || string(buf[:k]) != string(dataFrame(7, sbrp.MaxPayload-i, byte(i))) {
				t.Fatalf("frame %d: %d bytes, %v", i, k, err)
			}
		}
	}
	read(d)
	eventually(t, "the daemon has written", func() bool { return r.srv.Stats().FramesToClient == n+1 })
	read(c)
	for range 2 {
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
}
