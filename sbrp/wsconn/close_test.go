package wsconn_test

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// within fails the test if f takes longer than d.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > d {
		t.Errorf("%s took %v, want at most %v", what, took, d)
	}
}

// The peer gets what was written before the close, though it was writing itself.
func TestCloseDeliversTheLastMessage(t *testing.T) {
	client, server := pair(t, false, nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if client.Write(frame(60_000, i)) != nil {
				return
			}
		}
	})
	if err := server.Next(); err != nil {
		t.Fatal(err)
	}
	if err := server.Write(frame(5, 5)); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { server.Close(wsconn.StatusPolicy, "rule") })
	buf := make([]byte, sbrp.MaxFrame+1)
	n, err := client.Read(buf)
	if err != nil || n != sbrp.HeaderSize+5 {
		t.Errorf("the last message: %d bytes, %v", n, err)
	}
	_, err = client.Read(buf)
	if ce, ok := errors.AsType[*wsconn.CloseError](err); !ok || ce.Code != wsconn.StatusPolicy || ce.Reason != "rule" {
		t.Errorf("the close: %v", err)
	}
	close(stop)
	wg.Wait()
}

// A peer that neither reads nor answers: every way of closing ends in bounded time and unblocks everybody.
func TestCloseOfASilentPeer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		close func(c *wsconn.Conn)
	}{
		{"Close", func(c *wsconn.Conn) { c.Close(wsconn.StatusGoingAway, "bye") }},
		{"Close twice", func(c *wsconn.Conn) {
			var wg sync.WaitGroup
			wg.Go(func() { c.Close(wsconn.StatusGoingAway, "bye") })
			c.Close(wsconn.StatusGoingAway, "bye")
			wg.Wait()
		}},
		{"CloseNow", func(c *wsconn.Conn) { c.CloseNow() }},
		{"CloseNow during Close", func(c *wsconn.Conn) {
			var wg sync.WaitGroup
			wg.Go(func() { c.Close(wsconn.StatusGoingAway, "bye") })
			c.CloseNow()
			wg.Wait()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hand, server := rawPair(t)
			_ = hand // neither reads nor writes
			errs := make(chan error, 3)
			go func() { errs <- server.Next() }()
			for range 2 {
				go func() {
					var err error
					for err == nil {
						err = server.Write(frame(sbrp.MaxPayload, 1))
					}
					errs <- err
				}()
			}
			within(t, 4*time.Second, tt.name, func() { tt.close(server) })
			for range 3 {
				if err := <-errs; !errors.Is(err, net.ErrClosed) {
					t.Errorf("somebody was unblocked with %v, want a net.ErrClosed", err)
				}
			}
			select {
			case <-server.Closed():
			default:
				t.Error("Closed is not closed")
			}
		})
	}
}

// A close frame must not wait for a message that the peer claims and never sends.
func TestCloseInTheMiddleOfAMessage(t *testing.T) {
	t.Parallel()
	hand, server := rawPair(t)
	hand.write(fin|bin, append([]byte{3, 0, 1, 0, 1}, make([]byte, sbrp.MaxFrame)...), 1<<62)
	if _, err := server.Read(make([]byte, sbrp.MaxFrame+1)); !errors.Is(err, wsconn.ErrTooLarge) {
		t.Fatal(err)
	}
	within(t, 4*time.Second, "Close", func() { server.Close(wsconn.StatusPolicy, "too large") })
}

func TestCloseReasonOfAnyLength(t *testing.T) {
	client, server := pair(t, false, nil)
	go func() { server.Close(wsconn.StatusPolicy, strings.Repeat("é", 100)) }()
	_, err := client.Read(make([]byte, sbrp.MaxFrame+1))
	if ce, ok := errors.AsType[*wsconn.CloseError](err); !ok || ce.Code != wsconn.StatusPolicy || len(ce.Reason) > 123 {
		t.Errorf("got %v", err)
	}
}
