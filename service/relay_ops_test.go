package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func fetchText(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testTimeout}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// samples are the lines of a scrape, by their name with labels.
func samples(t *testing.T, addr string) map[string]string {
	t.Helper()
	status, text := fetchText(t, "http://"+addr+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d %s", status, text)
	}
	all := map[string]string{}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if line := s.Text(); !strings.HasPrefix(line, "#") {
			i := strings.LastIndexByte(line, ' ')
			all[line[:i]] = line[i+1:]
		}
	}
	return all
}

// What a run leaves in the metrics, and that nothing in them names anybody.
func TestMetrics(t *testing.T) {
	w := newWorld(t, func(o *RelayOptions) { o.Metrics, o.Pprof = "127.0.0.1:0", "127.0.0.1:0" })
	w.login("workshop", "daemon")
	w.expose("workshop", nil, "echo="+echoServer(t))
	w.pair("workshop", "phone")
	f := w.forward("phone", "workshop", "0:echo")
	dialEcho(t, f.waitFor(EventReady).Addr)
	if got := w.get("/api/daemons"); got != http.StatusUnauthorized {
		t.Fatalf("without a token: %d", got)
	}
	if got := relayState(t, w); got != "ready" {
		t.Errorf("its status says %q", got)
	}
	all := samples(t, w.relay.Metrics)
	for name, want := range map[string]string{
		`culvert_relay_connections{role="client"}`:                "1",
		`culvert_relay_connections{role="daemon"}`:                "1",
		`culvert_relay_sessions{state="paired"}`:                  "1",
		`culvert_relay_sessions{state="paused"}`:                  "0",
		`culvert_relay_frames_total{direction="to_daemon"}`:       "+",
		`culvert_relay_bytes_total{direction="to_client"}`:        "+",
		`culvert_relay_handshakes_total{result="done"}`:           "+",
		`culvert_relay_handshakes_total{result="timeout"}`:        "0",
		`culvert_relay_closes_total{code="backpressure"}`:         "0",
		`culvert_relay_token_failures_total{rule="exp"}`:          "0",
		`culvert_relay_refused_total{reason="address"}`:           "0",
		`culvert_relay_queue_bytes`:                               "0",
		`culvert_relay_pauses_total`:                              "0",
		`culvert_relay_draining`:                                  "0",
		`culvert_control_requests_total{code="401",method="get"}`: "1",
	} {
		if got := all[name]; got != want && (want != "+" || got == "" || got == "0") {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	label := regexp.MustCompile(`="([^"]*)"`)
	ours := regexp.MustCompile(`^(culvert|go|process)_[a-z_]+(\{|$)`)
	for name := range all {
		if !ours.MatchString(name) && !strings.HasPrefix(name, "go_") {
			t.Errorf("unexpected family in %s", name)
		}
		for _, m := range label.FindAllStringSubmatch(name, -1) {
			for _, word := range []string{"workshop", "phone", "default", "127.0.0.1", "dmn_", "dev_"} {
				if strings.HasPrefix(name, "culvert_") && strings.Contains(m[1], word) {
					t.Errorf("%s names somebody", name)
				}
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		for _, addr := range []string{w.relay.Metrics, w.relay.Addr} {
			if status, text := fetchText(t, "http://"+addr+path); status != http.StatusOK {
				t.Errorf("%s%s: %d %s", addr, path, status, text)
			}
		}
	}
	if status, text := fetchText(t, "http://"+w.relay.Pprof+"/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(text, "goroutine profile") {
		t.Errorf("profiler: %d %.80s", status, text)
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+w.relay.Pprof+"/debug/pprof/heap", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example" // a name that a page has made lead here
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // only the status counts
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("by another name: %s", resp.Status)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if got := w.get(path); got != http.StatusNotFound {
			t.Errorf("the public address answers %s with %d", path, got)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSideDoorsRefuse(t *testing.T) {
	busy := echoServer(t)
	for _, tc := range []struct {
		o    RelayOptions
		code Code
	}{
		{RelayOptions{Pprof: ":6060"}, CodeUsage},
		{RelayOptions{Pprof: "0.0.0.0:0"}, CodeUsage},
		{RelayOptions{Pprof: "6060"}, CodeUsage},
		{RelayOptions{Metrics: busy}, CodeBind},
		{RelayOptions{Metrics: "127.0.0.1:0", Pprof: busy}, CodeBind},
	} {
		tc.o.Common, tc.o.Listen = Common{StateDir: t.TempDir()}, "127.0.0.1:0"
		if err := RunRelay(t.Context(), tc.o, func(Event) {}); CodeOf(err) != tc.code {
			t.Errorf("%+v: %v, want code %d", tc.o, err, tc.code)
		}
	}
}

// A relay is told to end in the middle of a transfer and another takes its place: it says
// that it is not ready while it goes down, and every byte arrives.
func TestDrainLosesNothing(t *testing.T) {
	w := newWorld(t, func(o *RelayOptions) { o.Drain = 2 * time.Second })
	for _, name := range []string{"one", "two", "three"} {
		w.login(name, "daemon")
		w.expose(name, nil, "echo="+echoServer(t))
		w.pair(name, "client")
	}
	var live []*transfer
	for _, name := range []string{"one", "two", "three"} {
		live = append(live, startTransfer(t, w.forward("client", name, "0:echo").waitFor(EventReady).Addr))
	}
	for _, l := range live {
		l.more(t)
	}
	url := w.relay.URL
	ended := make(chan error, 1)
	go func() { ended <- w.stopRelay() }()
	for { // as a load balancer looks
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			t.Fatalf("no answer before the end: %v", err)
		}
		_ = resp.Body.Close() // only the status counts
		if resp.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	if got := w.get("/healthz"); got != http.StatusOK {
		t.Errorf("alive while it goes down: %d", got)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	addr := w.relay.Addr
	w.startRelay(func(o *RelayOptions) { o.Listen = addr })
	for i, l := range live {
		l.more(t)
		if err := l.end(); err != nil {
			t.Errorf("transfer %d: %v", i, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A relay whose store does not answer is not in order.
func TestRelayState(t *testing.T) {
	h := &hub{ping: func(context.Context) error { return errors.New("away") }}
	p := ProcessStatus{Relay: &RelayStatus{URL: "https://r", State: h.state()}}
	if got := strings.Join(p.Troubles(), "; "); got != "relay https://r: no_store" {
		t.Errorf("got %q", got)
	}
}

// relayState is what the status of the relay says.
func relayState(t *testing.T, w *world) string {
	t.Helper()
	all, problems, err := Status(t.Context(), w.common("relay"))
	if err != nil || len(problems) > 0 || len(all) != 1 || all[0].Relay == nil {
		t.Fatalf("status of the relay: %+v, %v, %v", all, problems, err)
	}
	return all[0].Relay.State
}

// transfer sends numbered lines to an echo server and checks that they come back, until it is ended.
type transfer struct {
	lines  chan int // the last line that came back
	cancel context.CancelFunc
	done   chan error
}

func startTransfer(t *testing.T, addr string) *transfer {
	c := dialEcho(t, addr)
	if err := c.SetDeadline(time.Now().Add(4 * testTimeout)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &transfer{lines: make(chan int, 1), cancel: cancel, done: make(chan error, 1)}
	line := func(i int) string { return fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 1000)) }
	written := make(chan error, 1)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond) // flat out, three of them leave nothing to the rest under the race detector
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			if _, err := io.WriteString(c, line(i)); err != nil {
				written <- err
				return
			}
		}
		written <- c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	go func() {
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			got, err := r.ReadString('\n')
			if errors.Is(err, io.EOF) && got == "" {
				l.done <- <-written
				return
			}
			if err != nil || got != line(i) {
				cancel()
				l.done <- fmt.Errorf("line %d: got %.40q, %w", i, got, err)
				return
			}
			select {
			case <-l.lines:
			default:
			}
			l.lines <- i
		}
	}()
	return l
}

// more waits until lines come back that were not there before.
func (l *transfer) more(t *testing.T) {
	t.Helper()
	select { // what has come is not news
	case <-l.lines:
	default:
	}
	for range 50 {
		select {
		case <-l.lines:
		case err := <-l.done:
			t.Fatalf("the transfer has ended: %v", err)
		case <-time.After(testTimeout):
			t.Fatal("nothing comes")
		}
	}
}

func (l *transfer) end() error {
	l.cancel()
	select {
	case err := <-l.done:
		return err
	case <-time.After(testTimeout):
		return os.ErrDeadlineExceeded
	}
}
