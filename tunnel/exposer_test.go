package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/mux"
	"culvert/mux/muxtest"
)

// status is the status of an error; StatusOK for nil.
func status(t testing.TB, err error) Status {
	t.Helper()
	if err == nil {
		return StatusOK
	}
	se, ok := errors.AsType[*StatusError](err)
	if !ok {
		t.Fatalf("got %v, want *StatusError", err)
	}
	return se.Status
}

func TestConnectAndCheck(t *testing.T) {
	addr := serve(t, echo)
	r := newRig(t, ExposerConfig{}, "web="+addr)
	ctx := testContext(t)
	rtt, err := Check(ctx, r.client, "web")
	if err != nil || rtt <= 0 {
		t.Fatalf("Check = %v, %v", rtt, err)
	}
	s, err := Connect(ctx, r.client, "web")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, "hello")
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || string(got) != "hello" {
		t.Errorf("echo = %q, %v", got, err)
	}
	_ = s.Close()
}

func TestStatuses(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, ExposerConfig{
		DialTimeout: 50 * time.Millisecond,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "slow") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if strings.HasPrefix(address, "host.invalid") {
				return nil, &net.DNSError{Err: "no such host", Name: "host.invalid", IsNotFound: true}
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}, "down="+freePort(t), "slow=slow.example:1", "nosock=unix:"+filepath.Join(dir, "none"), "nohost=host.invalid:80", "lan=127.0.0.0/8:*", "secret="+serve(t, echo), "closed="+serve(t, echo))
	r.grants.deny("secret", deniedError{"expired"})
	r.grants.deny("closed", errors.New("cannot read /home/owner/grants"))
	tests := []struct {
		target string
		want   Status
		text   string
	}{
		{"down", StatusRefused, "nothing listens there"},
		{"slow", StatusTimeout, ""},
		{"nosock", StatusRefused, ""},
		{"nohost", StatusUnreachable, ""},
		{"nope", StatusUnknownTarget, ""},
		{"secret", StatusDenied, "expired"},
		{"closed", StatusDenied, ""},
		{"down/127.0.0.1:80", StatusUnknownTarget, "its name alone"},
		{"lan", StatusUnknownTarget, "NAME/HOST:PORT"},
		{"lan/10.0.0.1:80", StatusUnknownTarget, "outside"},
		{"lan/" + freePort(t), StatusRefused, ""},
	}
	for _, tt := range tests {
		for kind, ask := range map[string]func(context.Context) error{
			"check":   func(ctx context.Context) error { _, err := Check(ctx, r.client, tt.target); return err },
			"connect": func(ctx context.Context) error { _, err := Connect(ctx, r.client, tt.target); return err },
		} {
			err := ask(testContext(t))
			if got := status(t, err); got != tt.want {
				t.Errorf("%s %s: %v, want %v", kind, tt.target, err, tt.want)
				continue
			}
			se, _ := errors.AsType[*StatusError](err)
			if !strings.Contains(se.Text, tt.text) || strings.Contains(se.Text, "owner") || strings.Contains(se.Text, dir) || strings.Contains(se.Text, "secret details") {
				t.Errorf("%s %s: text %q, want %q and nothing of the daemon's own", kind, tt.target, se.Text, tt.text)
			}
		}
	}
	if err := CheckRef("a b"); err == nil {
		t.Fatal("CheckRef")
	}
	if _, err := Connect(testContext(t), r.client, "a b"); err == nil {
		t.Error("a target that cannot be was asked for")
	}
}

// A grant's denial hides whether the target exists.
func TestDeniedBeforeUnknown(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web=1")
	r.grants.deny("ghost", deniedError{"target"})
	_, err := Check(testContext(t), r.client, "ghost")
	if status(t, err) != StatusDenied {
		t.Errorf("got %v, want denied", err)
	}
}

// raw sends bytes on a stream and returns the answer.
func raw(t *testing.T, r *rig, b []byte) (answer, error) {
	t.Helper()
	s, err := r.client.Open(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	return readAnswer(s)
}

func TestBadPrefaces(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	for name, b := range map[string]string{
		"version":  "\x02\x01\x00\x03web",
		"short v2": "\x02",
		"kind":     "\x01\x07\x00\x03web",
		"long":     "\x01\x01\xff\xff",
		"name":     "\x01\x01\x00\x03w\x00b",
	} {
		a, err := raw(t, r, []byte(b))
		if err != nil || a.status != StatusUnsupported || a.text == "" {
			t.Errorf("%s: answer %+v, %v, want unsupported", name, a, err)
		}
	}
	// A stream that ends inside its preface gets no answer and does no harm.
	s, err := r.client.Open(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, "\x01\x01")
	_ = s.Close()
	if _, err := Check(testContext(t), r.client, "web"); err != nil {
		t.Errorf("after bad prefaces: %v", err)
	}
}

func TestSlowPreface(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		r := newRig(t, ExposerConfig{}, "web=1")
		s, err := r.client.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, "\x01\x01")
		begin := time.Now()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
			t.Errorf("read: %v, want a reset", err)
		}
		if d := time.Since(begin); d < prefaceTimeout || d > prefaceTimeout+time.Second {
			t.Errorf("reset after %v, want %v", d, prefaceTimeout)
		}
	})
}

// A check that nobody answers ends, and so does one whose context ends.
func TestCheckTimeouts(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		r := newRig(t, ExposerConfig{DialTimeout: time.Hour, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, "web=1")
		begin := time.Now()
		_, err := Check(t.Context(), r.client, "web")
		if err == nil || time.Since(begin) != answerTimeout {
			t.Errorf("Check = %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for what, ask := range map[string]func() error{
			"Check":   func() error { _, err := Check(ctx, r.client, "web"); return err },
			"Connect": func() error { _, err := Connect(ctx, r.client, "web"); return err },
		} {
			if err := ask(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v, want the deadline", what, err)
			}
		}
	})
}

func TestBusy(t *testing.T) {
	started, release := make(chan bool, 9), make(chan struct{})
	addr := serve(t, echo)
	r := newRig(t, ExposerConfig{MaxDials: 1, MaxStreams: 3, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		started <- true
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}, "web=1")
	ctx := testContext(t)
	first, err := Start(ctx, r.client, "web")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, started, "the first dial")
	if _, err := Check(ctx, r.client, "web"); status(t, err) != StatusBusy {
		t.Errorf("a second dial: %v, want busy", err)
	}
	close(release)
	if err := first.Answer(); err != nil {
		t.Fatal(err)
	}
	var held []*Conn
	for range 2 {
		eventually(t, "room after the refused check has left", func() bool {
			c, err := Start(ctx, r.client, "web")
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
			return c.Answer() == nil
		})
	}
	if _, err := Check(ctx, r.client, "web"); status(t, err) != StatusBusy {
		t.Errorf("a fourth stream: %v, want busy", err)
	}
	for _, c := range append(held, first) {
		_ = c.Reset()
	}
	eventually(t, "room after the others have ended", func() bool { _, err := Check(ctx, r.client, "web"); return err == nil })
}

// eventually polls, on real time, until ok or patience is over.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not seen: %s", what)
		}
	}
}

// audit records what an Exposer tells an audit log.
type audit struct {
	mu  sync.Mutex
	log []string
	end chan string
}

func (a *audit) add(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, fmt.Sprintf(format, args...))
}

func (a *audit) config() ExposerConfig {
	a.end = make(chan string, 99)
	return ExposerConfig{
		OnOpen:   func(i StreamInfo) { a.add("open %s %s", i.ClientName, i.Target) },
		OnRefuse: func(i StreamInfo, s Status, err error) { a.add("refuse %s %s %v", i.Target, s, err) },
		OnCheck:  func(i StreamInfo, rtt time.Duration) { a.add("check %s %v", i.Target, rtt > 0) },
		OnClose: func(i StreamInfo, e End) {
			a.end <- fmt.Sprintf("%s %s in %d out %d", i.Target, e, i.BytesIn, i.BytesOut)
		},
	}
}

func TestAudit(t *testing.T) {
	a := &audit{}
	r := newRig(t, a.config(), "web="+serve(t, echo), "down="+freePort(t))
	r.grants.deny("no", deniedError{"not_authorized"})
	ctx := testContext(t)
	connect := func() *Conn {
		c, err := Start(ctx, r.client, "web")
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, "hello")
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := connect()
	eventually(t, "both counters", func() bool { // a byte is counted after it was passed on
		ss := r.exposer.Streams()
		return len(ss) == 1 && ss[0].BytesIn == 5 && ss[0].BytesOut == 5
	})
	if ss := r.exposer.Streams(); len(ss) != 1 || ss[0].Target != "web" || ss[0].BytesIn != 5 || ss[0].ClientName != "tester" || ss[0].Client != r.key || ss[0].Since.IsZero() {
		t.Errorf("Streams = %+v", ss)
	}
	_ = c.CloseWrite()
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if got, want := wait(t, a.end, "the end"), "web done in 5 out 5"; got != want {
		t.Errorf("end = %q, want %q", got, want)
	}
	_ = connect().Reset()
	if got, want := wait(t, a.end, "the end"), "web client_reset in 5 out 5"; got != want {
		t.Errorf("end = %q, want %q", got, want)
	}
	_, _ = Check(ctx, r.client, "web")
	_, _ = Check(ctx, r.client, "down")
	_, _ = Check(ctx, r.client, "no")
	eventually(t, "all streams gone", func() bool { return len(r.exposer.Streams()) == 0 })
	a.mu.Lock()
	defer a.mu.Unlock()
	got := strings.Join(a.log, "\n")
	for _, want := range []string{"open tester web\nopen tester web\n", "check web true", "refuse down refused", "connection refused", "refuse no denied client may not: secret details"} {
		if !strings.Contains(got, want) {
			t.Errorf("the audit log lacks %q:\n%s", want, got)
		}
	}
}

func TestTargetResetReachesClient(t *testing.T) {
	a := &audit{}
	addr := serve(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = (tcpSocket{c.(*net.TCPConn)}).Reset()
	})
	r := newRig(t, a.config(), "web="+addr)
	s, err := Connect(testContext(t), r.client, "web")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, "x")
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
		t.Errorf("read: %v, want a reset", err)
	}
	if got := wait(t, a.end, "the end"); !strings.HasPrefix(got, "web target_reset") {
		t.Errorf("end = %q", got)
	}
}

// Whoever loses its grant loses its live streams, in the middle of a transfer.
func TestRevocation(t *testing.T) {
	flood := func(c net.Conn) {
		junk := make([]byte, 32<<10)
		for {
			if _, err := c.Write(junk); err != nil {
				return
			}
		}
	}
	addr := serve(t, flood)
	a := &audit{}
	r := newRig(t, a.config(), "web="+addr, "db="+addr, "ssh="+addr)
	ctx := testContext(t)
	open := func(target string) *mux.Stream {
		s, err := Connect(ctx, r.client, target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	web1, web2, db, ssh := open("web"), open("web"), open("db"), open("ssh")
	if n := r.exposer.Recheck(); n != 0 {
		t.Errorf("Recheck without a change ended %d streams", n)
	}
	r.grants.deny("web", deniedError{"not_authorized"})
	if n := r.exposer.Recheck(); n != 2 {
		t.Errorf("Recheck ended %d streams, want 2", n)
	}
	ended := func(name string, s *mux.Stream) {
		t.Helper()
		if _, err := io.Copy(io.Discard, s); !errors.Is(err, mux.ErrReset) {
			t.Errorf("%s ends with %v, want a reset", name, err)
		}
		if got := wait(t, a.end, "the end of "+name); !strings.HasPrefix(got, name+" revoked") {
			t.Errorf("end = %q", got)
		}
	}
	ended("web", web1)
	ended("web", web2)
	if _, err := io.ReadFull(db, make([]byte, 100<<10)); err != nil {
		t.Errorf("db was ended too: %v", err)
	}
	// A target that is gone or leads elsewhere ends its streams; others go on.
	ts, err := ParseTargets("web="+addr, "db="+freePort(t), "ssh="+addr)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.exposer.SetTargets(ts); n != 1 {
		t.Errorf("SetTargets ended %d streams, want 1", n)
	}
	ended("db", db)
	if r.exposer.Targets() != ts {
		t.Error("Targets is not what was set")
	}
	if got := r.exposer.Allowed(r.key); len(got) != 2 || got[0].Name != "db" || got[1].Name != "ssh" {
		t.Errorf("Allowed = %v, want db and ssh", got)
	}
	if n := r.exposer.DropClient([32]byte{1}); n != 0 {
		t.Errorf("DropClient of another client ended %d streams", n)
	}
	if n := r.exposer.DropClient(r.key); n != 1 {
		t.Errorf("DropClient ended %d streams, want 1", n)
	}
	ended("ssh", ssh)
}

// A grant that goes away while the target is being dialled counts.
func TestRevocationDuringDial(t *testing.T) {
	started := make(chan bool, 1)
	dialled := make(chan net.Conn, 1)
	r := newRig(t, ExposerConfig{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		started <- true
		<-ctx.Done() // revoked
		a, b := net.Pipe()
		dialled <- b
		return a, nil // a dial that succeeds all the same
	}}, "web=1")
	c, err := Start(testContext(t), r.client, "web")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, started, "the dial")
	if n := r.exposer.DropClient(r.key); n != 1 {
		t.Errorf("DropClient ended %d streams, want 1", n)
	}
	if err := c.Answer(); !errors.Is(err, mux.ErrReset) {
		t.Errorf("answer: %v, want a reset", err)
	}
	b := wait(t, dialled, "the connection")
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection to the target was not closed: %v", err)
	}
	_ = b.Close()
}

// A client that talks much to a target that refuses it gets the answer all the
// same.
func TestAnswerIsNotOvertaken(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "down="+freePort(t))
	for range 20 {
		c, err := Start(testContext(t), r.client, "down")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			junk := make([]byte, 64<<10)
			for {
				if _, err := c.Write(junk); err != nil {
					return
				}
			}
		}()
		if _, err := c.Read(make([]byte, 1)); status(t, err) != StatusRefused {
			t.Errorf("read: %v", err)
		}
		_ = c.Reset()
		<-done
	}
}

func TestNewExposerRefusals(t *testing.T) {
	for name, cfg := range map[string]ExposerConfig{
		"no grants": {},
		"negative":  {Grants: &testGrants{}, MaxDials: -1},
	} {
		if _, err := NewExposer(cfg); err == nil {
			t.Errorf("%s: NewExposer worked", name)
		}
	}
	e, err := NewExposer(ExposerConfig{Grants: &testGrants{}})
	if err != nil {
		t.Fatal(err)
	}
	if e.Targets().List() != nil || e.Allowed([32]byte{}) != nil {
		t.Error("an Exposer without targets has some")
	}
}
