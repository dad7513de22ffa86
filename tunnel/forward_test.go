package tunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/mux"
)

func TestForwardCarries(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	opened, closed := make(chan ConnInfo, 1), make(chan error, 1)
	f, addr := startForward(t, r, ForwardConfig{
		OnOpen:  func(i ConnInfo) { opened <- i },
		OnClose: func(_ ConnInfo, err error) { closed <- err },
	}, "0:web")
	c := dialTo(t, "tcp", addr).(*net.TCPConn)
	send(t, c, "hello")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Fatalf("echo = %q, %v", got, err)
	}
	if i := wait(t, opened, "OnOpen"); i.Target != "web" || i.From.String() != c.LocalAddr().String() || i.ID != 1 {
		t.Errorf("OnOpen = %+v", i)
	}
	if err := wait(t, closed, "OnClose"); err != nil {
		t.Errorf("OnClose = %v", err)
	}
	eventually(t, "the connection's end", func() bool { return f.Stats().Active == 0 })
	if got, want := f.Stats(), (ForwardStats{Opened: 1, BytesUp: 5, BytesDown: 5}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
	if f.Addr().String() != addr || f.Spec().Target != "web" {
		t.Errorf("Addr = %v, Spec = %v", f.Addr(), f.Spec())
	}
}

// Whatever the daemon refuses is a reset for the local program, never an empty
// connection; and what the program had sent does no harm.
func TestForwardRefusalIsAReset(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "down="+freePort(t))
	refused := make(chan error, 9)
	f, addr := startForward(t, r, ForwardConfig{OnRefuse: func(_ ConnInfo, err error) { refused <- err }, OnOpen: func(ConnInfo) { t.Error("OnOpen") }}, "0:down")
	for _, first := range []string{"", "GET / HTTP/1.0\r\n\r\n", strings.Repeat("x", 1<<20)} {
		wantReset(t, addr, first)
		if err := wait(t, refused, "OnRefuse"); status(t, err) != StatusRefused {
			t.Errorf("OnRefuse = %v", err)
		}
	}
	if s := f.Stats(); s.Refused != 3 || s.Opened != 0 {
		t.Errorf("Stats = %+v", s)
	}
}

// wantReset connects, sends, and wants a reset instead of an end of data; it
// may come so early that the connection does not even seem to open.
func wantReset(t *testing.T, addr, first string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience)) // shows on reading
		// A socket tells of a reset once: here if it has come already.
		if _, err = io.WriteString(c, first); err == nil {
			_, err = io.ReadAll(c)
		}
	}
	if !isReset(err) {
		t.Errorf("the program gets %v, want a reset", err)
	}
}

func TestForwardReset(t *testing.T) {
	got := make(chan error, 1)
	addr := serve(t, func(c net.Conn) {
		_, err := io.ReadFull(c, make([]byte, 2)) // one byte at most, and it may be lost in the reset
		got <- err
	})
	r := newRig(t, ExposerConfig{}, "web="+addr)
	_, local := startForward(t, r, ForwardConfig{}, "0:web")
	c := dialTo(t, "tcp", local).(*net.TCPConn)
	send(t, c, "x")
	// The target has the byte when the connection is up.
	eventually(t, "the target to be connected", func() bool { return len(r.exposer.Streams()) == 1 })
	if err := (tcpSocket{c}).Reset(); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, got, "the target's end"); !isReset(err) {
		t.Errorf("the target reads %v, want a reset", err)
	}
}

func TestForwardTargetReset(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = (tcpSocket{c.(*net.TCPConn)}).Reset()
	})
	r := newRig(t, ExposerConfig{}, "web="+addr)
	_, local := startForward(t, r, ForwardConfig{}, "0:web")
	c := dialTo(t, "tcp", local)
	send(t, c, "x")
	if _, err := c.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the program reads %v, want a reset", err)
	}
}

// A server that speaks first is heard although the program says nothing.
func TestForwardServerSpeaksFirst(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "ssh="+serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n"); hold(c) }))
	_, local := startForward(t, r, ForwardConfig{}, "0:ssh")
	c := dialTo(t, "tcp", local)
	got := make([]byte, 11)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "SSH-2.0-x\r\n" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestManyConnections(t *testing.T) {
	const conns = 200
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	f, local := startForward(t, r, ForwardConfig{}, "0:web")
	var wg sync.WaitGroup
	for n := range conns {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			size := rng.IntN(1 << rng.IntN(19))
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			c, err := net.Dial("tcp", local)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * patience)) // 200 at once on a slow machine
			var sent sync.WaitGroup
			sent.Go(func() {
				for rest := data; len(rest) > 0; {
					k := min(1+rng.IntN(40000), len(rest))
					if _, err := c.Write(rest[:k]); err != nil {
						t.Errorf("connection %d: %v", n, err)
						return
					}
					rest = rest[k:]
				}
				_ = c.(*net.TCPConn).CloseWrite() // a failure shows on reading
			})
			got, err := io.ReadAll(c)
			if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
				t.Errorf("connection %d: %d of %d bytes, %v", n, len(got), size, err)
			}
			sent.Wait()
		})
	}
	wg.Wait()
	eventually(t, "all connections gone at the client", func() bool { return f.Stats().Active == 0 })
	eventually(t, "all connections gone at the daemon", func() bool { return len(r.exposer.Streams()) == 0 })
	if s := f.Stats(); s.Opened != conns || s.Refused != 0 || s.BytesUp != s.BytesDown {
		t.Errorf("Stats = %+v", s)
	}
}

// Connections come and go without leaving descriptors behind, whichever way
// they end.
func TestNoDescriptorsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // counts by /proc
	}
	count := func() int {
		es, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(es)
	}
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo), "down="+freePort(t))
	web, webAddr := startForward(t, r, ForwardConfig{}, "0:web")
	down, downAddr := startForward(t, r, ForwardConfig{}, "0:down")
	round := func() {
		for i := range 10 {
			c := dialTo(t, "tcp", webAddr).(*net.TCPConn)
			send(t, c, "x")
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_ = (tcpSocket{c}).Reset()
			} else {
				_ = c.Close()
			}
			wantReset(t, downAddr, "")
		}
		eventually(t, "all connections gone", func() bool {
			return web.Stats().Active+down.Stats().Active == 0 && len(r.exposer.Streams()) == 0
		})
	}
	round()
	before := count()
	for range 5 {
		round()
	}
	eventually(t, fmt.Sprintf("as many descriptors as before (%d)", before), func() bool { return count() <= before+2 })
}

// gate is an Opener that waits until it is open.
type gate struct {
	Opener
	up chan struct{}
}

func (g *gate) Open(ctx context.Context) (*mux.Stream, error) {
	select {
	case <-g.up:
		return g.Opener.Open(ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (g *gate) live() bool {
	select {
	case <-g.up:
		return true
	default:
		return false
	}
}

// While the link is held a connection waits, and what the program sends
// meanwhile arrives.
func TestForwardWaitsWhileHeld(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	g := &gate{r.client, make(chan struct{})}
	f, local := startForward(t, r, ForwardConfig{Opener: g, Live: g.live}, "0:web")
	c := dialTo(t, "tcp", local).(*net.TCPConn)
	send(t, c, "sent early")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the waiting connection", func() bool { return f.Stats().Active == 1 })
	close(g.up)
	if got, err := io.ReadAll(c); err != nil || string(got) != "sent early" {
		t.Errorf("echo = %q, %v", got, err)
	}
}

func TestForwardRefuses(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	closedGate := func() *gate { return &gate{r.client, make(chan struct{})} }
	tests := map[string]struct {
		cfg  ForwardConfig
		want error
	}{
		"when held":     {ForwardConfig{RefuseWhenHeld: true, Live: func() bool { return false }}, ErrHeld},
		"held too long": {ForwardConfig{Opener: closedGate(), OpenTimeout: time.Millisecond}, context.DeadlineExceeded},
	}
	for name, tt := range tests {
		refused := make(chan error, 1)
		tt.cfg.OnRefuse = func(_ ConnInfo, err error) { refused <- err }
		_, local := startForward(t, r, tt.cfg, "0:web")
		wantReset(t, local, "")
		if err := wait(t, refused, "OnRefuse"); !errors.Is(err, tt.want) {
			t.Errorf("%s: OnRefuse = %v, want %v", name, err, tt.want)
		}
	}
}

func TestForwardMaxConns(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	refused := make(chan error, 1)
	_, local := startForward(t, r, ForwardConfig{MaxConns: 1, OnRefuse: func(_ ConnInfo, err error) { refused <- err }}, "0:web")
	first := dialTo(t, "tcp", local)
	send(t, first, "x")
	if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	wantReset(t, local, "")
	if err := wait(t, refused, "OnRefuse"); !errors.Is(err, ErrBusy) {
		t.Errorf("OnRefuse = %v", err)
	}
	send(t, first, "y")
	if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
		t.Errorf("the first connection: %v", err)
	}
}

// The end of a forward ends its connections, live and waiting ones, with a
// reset, and Run waits for them.
func TestForwardStops(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	g := &gate{r.client, make(chan struct{})}
	for name, opener := range map[string]Opener{"live": r.client, "waiting": g} {
		spec, err := ParseForward("0:web")
		if err != nil {
			t.Fatal(err)
		}
		f, err := NewForward(ForwardConfig{Spec: spec, Opener: opener})
		if err != nil {
			t.Fatal(err)
		}
		addr, err := f.Bind()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		c := dialTo(t, "tcp", addr.String())
		send(t, c, "x")
		if name == "live" {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the connection", func() bool { return f.Stats().Active == 1 })
		cause := errors.New("the user has had enough")
		cancel(cause)
		if err := wait(t, done, "Run's end"); !errors.Is(err, cause) {
			t.Errorf("%s: Run = %v", name, err)
		}
		if s := f.Stats(); s.Active != 0 {
			t.Errorf("%s: Run left %d connections", name, s.Active)
		}
		if _, err := c.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("%s: the program reads %v, want a reset", name, err)
		}
		if f.Addr() != nil {
			t.Errorf("%s: still bound", name)
		}
		if _, err := net.Dial("tcp", addr.String()); err == nil {
			t.Errorf("%s: still listening", name)
		}
	}
}

func TestForwardLifecycle(t *testing.T) {
	spec := ForwardSpec{Network: NetworkTCP, Bind: DefaultBind, Target: "web"}
	f, err := NewForward(ForwardConfig{Spec: spec, Opener: &gate{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(t.Context()); !errors.Is(err, ErrNotBound) {
		t.Errorf("Run before Bind = %v", err)
	}
	a, err := f.Bind()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := f.Bind(); err != nil || b.String() != a.String() {
		t.Errorf("second Bind = %v, %v, want %v", b, err, a)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for name, cfg := range map[string]ForwardConfig{
		"no opener":     {Spec: spec},
		"no live":       {Spec: spec, Opener: &gate{}, RefuseWhenHeld: true},
		"no network":    {Spec: ForwardSpec{Target: "web"}, Opener: &gate{}},
		"no target":     {Spec: ForwardSpec{Network: NetworkTCP}, Opener: &gate{}},
		"negative":      {Spec: spec, Opener: &gate{}, MaxConns: -1},
		"negative port": {Spec: spec, Opener: &gate{}, SuggestedPort: -1},
	} {
		if _, err := NewForward(cfg); err == nil {
			t.Errorf("%s: NewForward worked", name)
		}
	}
}

// bind binds a forward and closes it again.
func bind(t *testing.T, spec string, suggested int) (net.Addr, *BindError) {
	t.Helper()
	s, err := ParseForward(spec)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewForward(ForwardConfig{Spec: s, Opener: &gate{}, SuggestedPort: suggested})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	addr, err := f.Bind()
	if err == nil {
		return addr, nil
	}
	be, ok := errors.AsType[*BindError](err)
	if !ok {
		t.Fatalf("Bind(%s) = %v, want *BindError", spec, err)
	}
	return nil, be
}

func TestBindTCP(t *testing.T) {
	taken := serve(t, echo)
	_, port, err := net.SplitHostPort(taken)
	if err != nil {
		t.Fatal(err)
	}
	_, be := bind(t, port+":web", 0)
	if be == nil || be.Kind != BindBusy || !strings.Contains(be.Error(), "0:web") || !strings.Contains(be.Error(), taken) {
		t.Errorf("a port that is in use: %v", be)
	}
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	if _, be := bind(t, "web", n); be == nil || be.Kind != BindBusy {
		t.Errorf("the target's port is in use: %v", be)
	}
	if _, be := bind(t, "192.0.2.1:0:web", 0); be == nil || be.Kind != BindNoAddress {
		t.Errorf("an address of another machine: %v", be)
	}
	if addr, be := bind(t, "web", 0); be != nil || addr.(*net.TCPAddr).Port == 0 || !addr.(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("without any port: %v, %v", addr, be)
	}
	if addr, be := bind(t, "[::1]:0:web", 0); be == nil && addr.(*net.TCPAddr).IP.To4() != nil {
		t.Errorf("IPv6: %v", addr)
	}
	if _, be := bind(t, "host.invalid:0:web", 0); be == nil || be.Error() == "" {
		t.Error("a host that does not exist was bound")
	}
}

func TestBindErrorTexts(t *testing.T) {
	for kind, want := range map[BindKind]string{BindBusy: "in use", BindNotPermitted: "not permitted", BindNoAddress: "does not have", BindFailed: "odd"} {
		e := &BindError{Addr: "a:1", Kind: kind, Err: errors.New("odd")}
		if got := e.Error(); !strings.Contains(got, want) || !strings.Contains(got, "a:1") {
			t.Errorf("%s: %q", kind, got)
		}
		if !errors.Is(e, e.Err) {
			t.Errorf("%s hides its cause", kind)
		}
	}
}

func TestBindUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.sock")
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	f, _ := startForward(t, r, ForwardConfig{}, "unix:"+path+":web")
	fi, err := os.Lstat(path)
	if err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Fatalf("socket: %v, %v, want mode 0600", fi, err)
	}
	c := dialTo(t, "unix", path)
	send(t, c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Fatalf("echo = %q, %v", got, err)
	}
	if _, be := bind(t, "unix:"+path+":web", 0); be == nil || be.Kind != BindBusy || !strings.Contains(be.Hint, "listens") {
		t.Errorf("a socket in use: %v", be)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	eventually(t, "the connection's end", func() bool { return f.Stats().Active == 0 })

	// What a program that was killed leaves behind is replaced.
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	if _, be := bind(t, "unix:"+path+":web", 0); be != nil {
		t.Errorf("a stale socket: %v", be)
	}
	// A file is not.
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, be := bind(t, "unix:"+file+":web", 0); be == nil || !strings.Contains(be.Hint, "no socket") {
		t.Errorf("a file in the way: %v", be)
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, []byte("precious")) {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
	if _, be := bind(t, "unix:"+filepath.Join(dir, "none", "x")+":web", 0); be == nil || !strings.Contains(be.Hint, "does not exist") {
		t.Errorf("a directory that does not exist: %v", be)
	}
}
