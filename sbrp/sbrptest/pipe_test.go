package sbrptest_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"culvert/sbrp"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns two ends; both kinds must behave the same.
type pair func(t *testing.T) (a, b sbrptest.Conn)

func sockets(t *testing.T) (a, b sbrptest.Conn) {
	t.Helper()
	accepted, over := make(chan *wsconn.Conn), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Accept(w, r, wsconn.AcceptOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- c
		<-over
	}))
	client, err := wsconn.Dial(t.Context(), server.URL, wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	far := <-accepted
	t.Cleanup(func() {
		client.CloseNow()
		far.CloseNow()
		close(over)
		server.Close()
	})
	return client, far
}

func memory(*testing.T) (a, b sbrptest.Conn) { return sbrptest.Pipe() }

func TestConns(t *testing.T) {
	for name, make2 := range map[string]pair{"sockets": sockets, "memory": memory} {
		t.Run(name, func(t *testing.T) {
			t.Run("messages", func(t *testing.T) { testMessages(t, make2) })
			t.Run("close", func(t *testing.T) { testClose(t, make2) })
			t.Run("cut", func(t *testing.T) { testCut(t, make2) })
		})
	}
}

func testMessages(t *testing.T, make2 pair) {
	a, b := make2(t)
	buf := make([]byte, sbrp.MaxFrame+1)
	for _, size := range []int{0, 1, 70, 65_000, sbrp.MaxFrame} {
		msg := make([]byte, size)
		if size > 0 {
			msg[size-1] = 7
		}
		if err := a.Write(msg); err != nil {
			t.Fatal(err)
		}
		clear(msg) // Write kept nothing of it
		n, err := b.Read(buf)
		if err != nil || n != size || size > 0 && buf[size-1] != 7 {
			t.Errorf("Read = %d, %v, want the message of %d bytes", n, err, size)
		}
	}
	if since := time.Since(b.LastReceive()); since > time.Minute {
		t.Errorf("LastReceive was %v ago", since)
	}
	if err := a.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(buf[:100]); !errors.Is(err, wsconn.ErrTooLarge) {
		t.Errorf("Read of a message that fills the buffer = %v, want ErrTooLarge", err)
	}
}

func testClose(t *testing.T, make2 pair) {
	a, b := make2(t)
	if err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.Close(wsconn.StatusPolicy, "enough")
	}()
	buf := make([]byte, sbrp.MaxFrame+1)
	if n, err := b.Read(buf); err != nil || string(buf[:n]) != "last words" {
		t.Errorf("Read = %q, %v, want what was written before Close", buf[:n], err)
	}
	_, err := b.Read(buf)
	ce, ok := errors.AsType[*wsconn.CloseError](err)
	if !ok || ce.Code != wsconn.StatusPolicy {
		t.Errorf("Read after the peer's Close = %v, want its code", err)
	}
	<-closed
	if _, err := a.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close = %v, want net.ErrClosed", err)
	}
	if err := a.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close = %v, want net.ErrClosed", err)
	}
}

func testCut(t *testing.T, make2 pair) {
	a, b := make2(t)
	failed := make(chan error, 1)
	go func() {
		_, err := b.Read(make([]byte, sbrp.MaxFrame+1))
		failed <- err
	}()
	a.CloseNow()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read of a cut connection = %v, want net.ErrClosed", err)
	}
	a.CloseNow() // again does nothing
}

// A peer that does not read blocks writers, until they give up.
func TestPipeBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sbrptest.Pipe()
		begun := time.Now()
		var err error
		for err == nil {
			err = a.Write([]byte("more"))
		}
		if d := time.Since(begun); d != wsconn.DefaultWriteTimeout {
			t.Errorf("Write gave up after %v, want %v", d, wsconn.DefaultWriteTimeout)
		}
		b.CloseNow()
	})
}
