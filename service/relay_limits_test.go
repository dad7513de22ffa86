package service

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"culvert/sbrp/relay"
)

// knock is a TCP connection to the relay's port.
func (w *world) knock() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.relay.Addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() }) // the test may have
	if err := c.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// heardOut returns what the relay says until it hangs up; a reset is as good as an end.
func heardOut(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the relay keeps the connection; it has said %q", b)
	}
	return string(b)
}

// Who does not send a whole request, TLS handshake included, is hung up on in time, and the others are served meanwhile.
func TestSlowRequests(t *testing.T) {
	cert := newTLSServer(t, "127.0.0.1", time.Hour)
	for name, change := range map[string]func(*RelayOptions){
		"plain": func(*RelayOptions) {},
		"TLS":   func(o *RelayOptions) { o.TLSCert, o.TLSKey = cert.files(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change, func(o *RelayOptions) {
				o.Limits.HeaderTimeout, o.Metrics = 500*time.Millisecond, "127.0.0.1:0"
			})
			begin := time.Now()
			halfOpen, greeted, slow := w.knock(), w.knock(), w.knock()
			if _, err := greeted.Write([]byte{0x16}); err != nil { // the first byte of TLS, or of nothing
				t.Fatal(err)
			}
			fed := make(chan struct{})
			go func() { // a header without end, a byte at a time
				defer close(fed)
				if _, err := io.WriteString(slow, "GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: "); err != nil {
					return
				}
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				for range tick.C {
					if _, err := slow.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
			if name == "plain" {
				if got := w.get("/healthz"); got != http.StatusOK {
					t.Errorf("meanwhile: %d", got)
				}
			}
			for _, c := range []net.Conn{halfOpen, greeted, slow} {
				if got := heardOut(t, c); strings.Contains(got, "200 OK") {
					t.Errorf("answered %q", got)
				}
			}
			<-fed
			want := map[string]string{"plain": "1", "TLS": "3"}[name] // the others have begun a request
			for got, end := "", time.Now().Add(testTimeout); got != want; {
				if got = samples(t, w.relay.Metrics)["culvert_relay_unheard_total"]; time.Now().After(end) {
					t.Fatalf("%s connections without a request, want %s", got, want)
				}
			}
			if took := time.Since(begin); took < 500*time.Millisecond {
				t.Errorf("hung up after %v", took)
			}
		})
	}
}

// get is the status of a request to the relay's HTTP side.
func (w *world) get(path string) int {
	w.t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testTimeout}).Get(w.relay.URL + path)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close() // only the status counts
	return resp.StatusCode
}

func TestOversizedHeader(t *testing.T) {
	w := newWorld(t)
	c := w.knock()
	go func() { // the relay may hang up before it has all
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: relay\r\nX-Big: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", resp.Status)
	}
}

// An address may have so many connections without a request, and the next is closed at once.
func TestWaitingConnections(t *testing.T) {
	w := newWorld(t, func(o *RelayOptions) { o.Limits.Waiting, o.Limits.HeaderTimeout = 3, time.Minute })
	var in []net.Conn
	for range 3 {
		c := w.knock()
		if !stays(c) {
			t.Fatalf("only %d connections may wait", len(in))
		}
		in = append(in, c)
	}
	if stays(w.knock()) {
		t.Error("a fourth may wait")
	}
	_ = in[0].Close()
	for deadline := time.Now().Add(testTimeout); !stays(w.knock()); {
		if time.Now().After(deadline) {
			t.Fatal("there is no place again")
		}
	}
}

// stays tells whether the relay keeps a silent connection for a moment.
func stays(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) // it is open, or Read says so
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Our endpoints at a relay that slows them down: both ways, by bytes and by messages, and every byte arrives.
func TestSlowedDownLosesNothing(t *testing.T) {
	for name, limits := range map[string]RelayLimits{
		"bytes":    {ClientBytes: 4 * relay.MinByteRate, DaemonBytes: 4 * relay.MinByteRate},
		"messages": {ClientMessages: 40, DaemonMessages: 40},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *RelayOptions) { o.Limits = limits })
			w.login("daemon", "daemon")
			w.expose("daemon", nil, "echo="+echoServer(t))
			w.pair("daemon", "client")
			f := w.forward("client", "daemon", "0:echo")
			addr := f.waitFor(EventReady).Addr
			c := dialEcho(t, addr)
			defer c.Close()
			sent := make([]byte, 1<<20)
			_, _ = rand.Read(sent) // never fails
			if err := c.SetDeadline(time.Now().Add(2 * testTimeout)); err != nil {
				t.Fatal(err)
			}
			written := make(chan error, 1)
			go func() {
				_, err := c.Write(sent)
				written <- err
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatalf("read: %v", err)
			}
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, sent) {
				t.Error("what came back is not what was sent")
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, e := range f.events {
				if e.Event == EventHeld || e.Event == EventLost {
					t.Errorf("being slow was taken for a loss: %+v", e)
				}
			}
		})
	}
}

func TestRelayLimits(t *testing.T) {
	got, err := RelayLimits{}.withDefaults()
	if err != nil || got.HeaderTimeout == 0 || got.TokenAge == 0 || got.QueueBudget == 0 || got.PerAddress != 0 || got.ClientMessages != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, l := range []RelayLimits{{PerAddress: -1}, {Waiting: -1}, {DaemonMessages: -1}, {ClientBytes: 1}, {DaemonBytes: 1 << 40}, {ClientQueue: 1}, {ClientQueue: 1 << 40}} {
		if _, err := l.withDefaults(); CodeOf(err) != CodeUsage {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
