package wsconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// counting counts the writes to a connection. It hides what kind of connection it is.
type counting struct {
	net.Conn
	writes *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// The reason for this package's outlet: header, mask, payload and TLS records leave together.
func TestOneWritePerMessage(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, size := range []int{0, 64, 4096, 16384, sbrp.MaxPayload} {
			t.Run(fmt.Sprintf("tls=%v/size=%d", secure, size), func(t *testing.T) {
				var writes atomic.Int64
				client, server := pair(t, secure, func(c net.Conn) net.Conn { return counting{c, &writes} })
				buf := make([]byte, sbrp.MaxFrame+1)
				for _, way := range [][2]*wsconn.Conn{{client, server}, {server, client}} {
					read := make(chan error, 1)
					before := writes.Load()
					go func() {
						for range 20 {
							if _, err := way[1].Read(buf); err != nil {
								read <- err
								return
							}
						}
						read <- nil
					}()
					for range 20 {
						if err := way[0].Write(frame(size, 3)); err != nil {
							t.Fatal(err)
						}
					}
					if err := <-read; err != nil {
						t.Fatal(err)
					}
					if got := writes.Load() - before; got != 20 {
						t.Errorf("%d writes for 20 messages", got)
					}
				}
			})
		}
	}
}

func TestWriteRefusesMoreThanAFrame(t *testing.T) {
	client, _ := pair(t, false, nil)
	if err := client.Write(make([]byte, sbrp.MaxFrame+1)); !errors.Is(err, wsconn.ErrTooLarge) {
		t.Errorf("Write: got %v, want ErrTooLarge", err)
	}
	if _, err := client.TryWrite(make([]byte, sbrp.MaxFrame+1)); !errors.Is(err, wsconn.ErrTooLarge) {
		t.Errorf("TryWrite: got %v, want ErrTooLarge", err)
	}
	if err := client.Write(frame(1, 1)); err != nil {
		t.Errorf("the connection should go on: %v", err)
	}
}

func TestWritersAtOnce(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			client, server := pair(t, secure, nil)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := range 25 {
						if err := client.Write(frame(w*1000+i, w)); err != nil {
							t.Errorf("writer %d: %v", w, err)
						}
						client.PingWS()
					}
				})
			}
			next := make([]int, 8)
			buf := make([]byte, sbrp.MaxFrame+1)
			for range 8 * 25 {
				n, err := server.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				w := (n - sbrp.HeaderSize) / 1000
				if want := frame(w*1000+next[w], w); !bytes.Equal(buf[:n], want) {
					t.Fatalf("writer %d: message %d came out of order or changed", w, next[w])
				}
				next[w]++
			}
			wg.Wait()
		})
	}
}

// fill writes until the system takes no more, and returns how many messages were accepted and the outcome of the last.
func fill(t *testing.T, c *wsconn.Conn) (accepted int, last wsconn.Outcome) {
	t.Helper()
	for {
		outcome, err := c.TryWrite(frame(sbrp.MaxPayload, accepted))
		if err != nil {
			t.Fatal(err)
		}
		if outcome == wsconn.Refused {
			return accepted, outcome
		}
		accepted++
		if outcome == wsconn.Begun {
			return accepted, outcome
		}
		if accepted > 10_000 {
			t.Fatal("640 MB went into a socket that nobody reads")
		}
	}
}

func canTry(t *testing.T, c *wsconn.Conn) {
	t.Helper()
	outcome, err := c.TryWrite(frame(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if outcome == wsconn.Refused {
		t.Log("left out: this platform has no writes that do not wait")
		t.SkipNow()
	}
}

func TestTryWriteNeverWaitsAndLosesNothing(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			client, server := pair(t, secure, nil)
			canTry(t, server)
			accepted, last := fill(t, server)
			if last != wsconn.Begun {
				t.Fatalf("last outcome %v, want Begun: a full message never fits exactly", last)
			}
			if outcome, err := server.TryWrite(frame(5, 5)); err != nil || outcome != wsconn.Refused {
				t.Fatalf("with a message begun: %v, %v; want Refused", outcome, err)
			}
			server.PingWS() // must not wait, and not come into the middle of the message
			flushed := make(chan error, 1)
			go func() {
				err := server.Flush()
				if err == nil {
					err = server.Write(frame(7, 7))
				}
				flushed <- err
			}()
			buf := make([]byte, sbrp.MaxFrame+1)
			want := func(f []byte) {
				t.Helper()
				n, err := client.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(buf[:n], f) {
					t.Fatal("a message changed or was lost")
				}
			}
			want(frame(1, 1))
			for i := range accepted {
				want(frame(sbrp.MaxPayload, i))
			}
			want(frame(7, 7))
			if err := <-flushed; err != nil {
				t.Fatal(err)
			}
			if outcome, err := server.TryWrite(frame(9, 9)); err != nil || outcome != wsconn.Written {
				t.Fatalf("after Flush: %v, %v; want Written", outcome, err)
			}
			want(frame(9, 9))
		})
	}
}

// Where the system offers no socket to try on, TryWrite refuses and Write does it.
func TestTryWriteRefusesWhatItCannotTry(t *testing.T) {
	var writes atomic.Int64
	client, server := pair(t, false, func(c net.Conn) net.Conn { return counting{c, &writes} })
	if outcome, err := server.TryWrite(frame(1, 1)); err != nil || outcome != wsconn.Refused {
		t.Fatalf("got %v, %v; want Refused", outcome, err)
	}
	if err := server.Write(frame(1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, sbrp.MaxFrame+1)); err != nil {
		t.Fatal(err)
	}
}

// A peer that pings and reads nothing must not stop the reader: a pong that cannot be written waits in its slot.
func TestPingsOfAPeerThatDoesNotRead(t *testing.T) {
	client, server := pair(t, false, nil)
	canTry(t, server)
	fill(t, server)
	read := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, sbrp.MaxFrame+1))
		read <- err
	}()
	for range 100 {
		client.PingWS()
	}
	if err := client.Write(frame(3, 3)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatalf("the reader did not get past the pings: %v", err)
	}
}

func TestWriteTimeoutEndsTheConnection(t *testing.T) {
	_, server := pairWith(t, 100*time.Millisecond)
	var err error
	for err == nil {
		err = server.Write(frame(sbrp.MaxPayload, 1))
	}
	if !errors.Is(err, net.ErrClosed) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout that is a net.ErrClosed", err)
	}
	if _, err := server.Read(make([]byte, sbrp.MaxFrame+1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read afterwards: got %v, want a net.ErrClosed", err)
	}
}

func TestFlushOfAPeerThatNeverReads(t *testing.T) {
	_, server := pairWith(t, 100*time.Millisecond)
	canTry(t, server)
	fill(t, server)
	if err := server.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	if err := server.Write(frame(1, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write afterwards: got %v, want a net.ErrClosed", err)
	}
}

// pairWith is pair with a write timeout at the server.
func pairWith(t *testing.T, timeout time.Duration) (client, server *wsconn.Conn) {
	t.Helper()
	accepted := make(chan *wsconn.Conn, 1)
	client, err := dial(t, serve(t, accepted, wsconn.AcceptOptions{WriteTimeout: timeout}), wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

// breaking fails the n-th write, after half of it.
type breaking struct {
	net.Conn
	left *atomic.Int64
}

func (c breaking) Write(p []byte) (int, error) {
	if c.left.Add(-1) < 0 {
		n, _ := c.Conn.Write(p[:len(p)/2])
		return n, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

// Every write in turn fails half-way: the error comes up, the reader ends, the peer never sees a whole message that was not
// written.
func TestEveryWriteFails(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for n := range 6 {
			t.Run(fmt.Sprintf("tls=%v/after=%d", secure, n), func(t *testing.T) {
				var left atomic.Int64
				left.Store(1 << 40)
				client, server := pair(t, secure, func(c net.Conn) net.Conn { return breaking{c, &left} })
				left.Store(int64(n))
				var failed error
				ok := 0
				for failed == nil {
					if failed = client.Write(frame(30_000, ok)); failed == nil {
						ok++
					}
				}
				if ok != n || !errors.Is(failed, syscall.EPIPE) || !errors.Is(failed, net.ErrClosed) {
					t.Errorf("%d messages, then %v; want %d, then EPIPE that is a net.ErrClosed", ok, failed, n)
				}
				buf := make([]byte, sbrp.MaxFrame+1)
				got := 0
				var err error
				for err == nil {
					if _, err = server.Read(buf); err == nil {
						got++
					}
				}
				if got != n {
					t.Errorf("the peer read %d messages, want %d", got, n)
				}
				if !errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
					t.Errorf("the peer's end: %v", err)
				}
			})
		}
	}
}

// A pong that is asked for while a message waits for the peer goes out behind that message.
func TestPongBehindABlockedMessage(t *testing.T) {
	hand, server := rawPair(t)
	const n = 200 // 13 MB: more than the sockets hold
	written := make(chan error, 1)
	var began atomic.Int64
	go func() {
		var err error
		for i := 0; i < n && err == nil; i++ {
			began.Store(int64(i))
			err = server.Write(frame(sbrp.MaxPayload, i))
		}
		written <- err
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := int64(-1); last != began.Load(); <-tick.C {
		last = began.Load()
	}
	read := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, sbrp.MaxFrame+1))
		read <- err
	}()
	hand.write(fin|0x9, []byte("alive?"), -1)
	hand.write(fin|bin, frame(1, 1), -1)
	if err := <-read; err != nil { // so the ping has been handled
		t.Fatal(err)
	}
	messages, pong := 0, ""
	for messages < n || pong == "" {
		first, payload := hand.readFrame()
		switch first {
		case fin | bin:
			if !bytes.Equal(payload, frame(sbrp.MaxPayload, messages)) {
				t.Fatalf("message %d is wrong", messages)
			}
			messages++
		case fin | 0xA:
			pong = string(payload)
		default:
			t.Fatalf("frame that begins with %#x", first)
		}
	}
	if pong != "alive?" {
		t.Errorf("pong %q", pong)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// What TryWrite has left goes out before the close.
func TestCloseFlushes(t *testing.T) {
	client, server := pair(t, false, nil)
	canTry(t, server)
	accepted, _ := fill(t, server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Close(wsconn.StatusNormal, "")
	}()
	buf := make([]byte, sbrp.MaxFrame+1)
	for i := range accepted + 1 {
		if _, err := client.Read(buf); err != nil {
			t.Fatalf("message %d of %d: %v", i, accepted+1, err)
		}
	}
	var ce *wsconn.CloseError
	if _, err := client.Read(buf); !errors.As(err, &ce) || ce.Code != wsconn.StatusNormal {
		t.Errorf("the end: %v", err)
	}
	<-done
}
