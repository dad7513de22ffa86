package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"culvert/mux"
)

// dialer starts one for the client machine; stop ends it and returns what Run did.
func (w *world) dialer(o DialerOptions) (d *Dialer, stop func() error) {
	w.t.Helper()
	d = NewDialer(o, nil)
	return d, w.background("dialer", d.Run)
}

func TestDialer(t *testing.T) {
	w := newWorld(t)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, "page of "+r.Host)
	}))
	defer web.Close()
	w.login("laptop", "daemon")
	w.expose("laptop", nil, "web="+web.Listener.Addr().String(), "echo="+echoServer(t), "lan=127.0.0.0/8:*")
	w.pair("laptop", "phone")
	d, stop := w.dialer(DialerOptions{Common: w.common("phone"), Daemon: "laptop"})

	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}, Timeout: testTimeout}
	resp, err := client.Get("http://web/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	client.CloseIdleConnections()
	if string(body) != "page of web" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}

	for _, target := range []string{"echo", "lan/" + echoServer(t)} {
		conn, err := d.Dial(t.Context(), target)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		wantEcho(t, conn)
	}
	all, problems, err := Status(t.Context(), w.common("phone"))
	if err != nil || len(problems) > 0 || len(all) != 1 || len(all[0].Links) != 1 || all[0].Command != "dial" || all[0].Links[0].State != "live" {
		t.Errorf("status: %+v, %v, %v", all, problems, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := d.Dial(t.Context(), "echo"); !errors.Is(err, net.ErrClosed) || !errors.Is(err, mux.ErrClientClosed) {
		t.Errorf("after Run: %v, want closed", err)
	}
	if err := d.Run(t.Context()); err == nil {
		t.Error("a second Run did something")
	}
}

// wantEcho talks on the connection until both directions have ended.
func wantEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("heard %q, %v", got, err)
	}
}

// A Dial that fails says so by the codes of the command line, and why there is no way.
func TestDialerFails(t *testing.T) {
	w := newWorld(t)
	w.login("laptop", "daemon")
	stopDaemon := w.expose("laptop", nil, "echo="+echoServer(t))
	w.pair("laptop", "phone")
	d, _ := w.dialer(DialerOptions{Common: w.common("phone"), Daemon: "laptop"})

	if _, err := d.Dial(t.Context(), "nothing"); CodeOf(err) != CodeTarget {
		t.Errorf("unknown target: %v, code %d", err, CodeOf(err))
	}
	if _, err := d.DialContext(t.Context(), "udp", "echo:1"); CodeOf(err) != CodeUsage {
		t.Errorf("udp: %v, code %d", err, CodeOf(err))
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Dial(canceled, "echo"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := stopDaemon(); err != nil {
		t.Fatal(err)
	}
	// Until the client has learned that the daemon is away, a Dial may end without saying so.
	for deadline := time.Now().Add(testTimeout); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := d.Dial(ctx, "echo")
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && CodeOf(err) == CodeDaemon && strings.Contains(err.Error(), "offline") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("daemon away: %v, code %d", err, CodeOf(err))
		}
	}
}

// What ends Run is what a Dial that waits returns, not only that the link is closed.
func TestDialerEnds(t *testing.T) {
	w := newWorld(t)
	w.login("phone", "client")
	d := NewDialer(DialerOptions{Common: w.common("phone"), Daemon: "laptop", Once: true}, nil)
	dialled := make(chan error, 1)
	go func() {
		_, err := d.DialContext(context.Background(), "tcp", "echo:80")
		dialled <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	err := d.Run(ctx)
	if CodeOf(err) != CodeDaemon {
		t.Errorf("Run: %v, code %d", err, CodeOf(err))
	}
	if got := receive(t, "Dial", dialled); !errors.Is(got, err) {
		t.Errorf("Dial: %v, want what Run returned: %v", got, err)
	}
	if _, got := d.Dial(t.Context(), "echo"); !errors.Is(got, err) {
		t.Errorf("later: %v, want %v", got, err)
	}
}
