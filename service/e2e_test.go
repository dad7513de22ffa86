package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/config"
	"culvert/tunnel"
)

func TestDemoOnce(t *testing.T) {
	var info DemoInfo
	err := Demo(t.Context(), DemoOptions{Program: "culvert test", Once: true, Ready: func(i DemoInfo) { info = i }}, func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	if info.Fetched.Bytes != len(pageHTML) || info.Fetched.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(pageHTML))) {
		t.Errorf("fetched %+v, want the sample page of %d bytes", info.Fetched, len(pageHTML))
	}
}

// 200 connections of random sizes at once through one link: every byte comes back, and
// no goroutine (TestMain) or descriptor is left.
func TestManyConnections(t *testing.T) {
	before := openFiles(t)
	t.Run("world", func(t *testing.T) {
		w := newWorld(t)
		w.login("daemon", "daemon")
		w.expose("daemon", nil, "echo="+echoServer(t))
		w.pair("daemon", "client")
		f := w.forward("client", "daemon", "0:echo")
		addr := f.waitFor(EventReady).Addr
		var g errgroup.Group
		for i := range 200 {
			g.Go(func() error { return echoOnce(addr, uint64(i)) })
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	if after := openFiles(t); after > before {
		t.Errorf("descriptors: %d before, %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0 // no /proc to count in
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		// Pipes are the runtime's own, pooled for splice(2).
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// echoOnce sends up to 512 KiB of seeded bytes, half-closes, and compares what comes back.
func echoOnce(addr string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, r.IntN(512<<10))
	rand.NewChaCha8([32]byte{byte(seed)}).Read(data)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	var g errgroup.Group
	g.Go(func() error {
		if _, err := c.Write(data); err != nil {
			return err
		}
		return c.(*net.TCPConn).CloseWrite()
	})
	got, err := io.ReadAll(c)
	if err := errors.Join(err, g.Wait()); err != nil {
		return fmt.Errorf("connection %d of %d bytes, %d came back: %w", seed, len(data), len(got), err)
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("connection %d: %d bytes came back of %d, or other ones", seed, len(got), len(data))
	}
	return nil
}

// A client that the control plane knows and the daemon does not is refused and reaches
// nothing.
func TestNotGranted(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.login("stranger", "client")
	reached := make(chan struct{}, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
			reached <- struct{}{}
		}
	}()
	defer func() { ln.Close(); <-done }()
	w.expose("daemon", nil, "web="+ln.Addr().String())
	spec, err := tunnel.ParseForward("0:web")
	if err != nil {
		t.Fatal(err)
	}
	o := ForwardOptions{Common: w.common("stranger"), Daemon: "daemon", Forwards: []tunnel.ForwardSpec{spec}}

	err = Forward(t.Context(), o, func(Event) {})
	if CodeOf(err) != CodeRefused || classify(err).Name != "not_trusted" {
		t.Errorf("without a pin: got %v, want not_trusted", err)
	}
	o.Trust = TrustFirstUse
	err = Forward(t.Context(), o, func(e Event) {
		if e.Event == EventReady {
			t.Error("a stranger was told ready")
		}
	})
	if CodeOf(err) != CodeRefused || classify(err).Name != "not_authorized" {
		t.Errorf("not granted: got %v, want not_authorized", err)
	}
	select {
	case <-reached:
		t.Error("a stranger reached the target")
	default:
	}
}

func TestPairingCodes(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "echo="+echoServer(t))
	code, err := MakePairing(t.Context(), PairOptions{Common: w.common("daemon"), Targets: []string{"echo"}, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	redeem := func(client, text string) error {
		_, err := RedeemPairing(t.Context(), RedeemOptions{Common: w.common(client), Code: text, URL: w.relay.URL})
		return err
	}
	if err := redeem("client", newPairSecret().code()); CodeOf(err) != CodeRefused {
		t.Errorf("wrong code: got %v, want exit %d", err, CodeRefused)
	}
	if err := redeem("client", "not a code"); CodeOf(err) != CodeUsage {
		t.Errorf("no code at all: got %v, want exit %d", err, CodeUsage)
	}
	waited := make(chan ClientRow, 1)
	w.background("wait for pairing", func(ctx context.Context) error {
		row, err := WaitPairing(ctx, w.common("daemon"), code)
		waited <- row
		return err
	})
	if err := redeem("client", code.Code); err != nil {
		t.Fatalf("good code: %v", err)
	}
	row := receive(t, "paired client", waited)
	if len(row.Targets) != 1 || row.Targets[0] != "echo" || row.Expires == nil {
		t.Errorf("granted %+v, want echo for an hour", row)
	}
	if err := redeem("second", code.Code); CodeOf(err) != CodeRefused {
		t.Errorf("used code: got %v, want exit %d", err, CodeRefused)
	}
	brief, err := MakePairing(t.Context(), PairOptions{Common: w.common("daemon"), TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := WaitPairing(t.Context(), w.common("daemon"), brief); CodeOf(err) != CodeRefused {
		t.Errorf("waiting for an unused code: got %v, want exit %d", err, CodeRefused)
	}
	if err := redeem("second", brief.Code); CodeOf(err) != CodeRefused {
		t.Errorf("expired code: got %v, want exit %d", err, CodeRefused)
	}
}

// Revoking drops live streams at once, through the running daemon and by hand alike.
func TestRevokeDropsLiveStreams(t *testing.T) {
	for _, how := range []string{"command", "by hand"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			w.login("daemon", "daemon")
			w.expose("daemon", nil, "echo="+echoServer(t))
			w.pair("daemon", "client")
			ready := make(chan string, 1)
			ended := make(chan error, 1)
			spec, err := tunnel.ParseForward("0:echo")
			if err != nil {
				t.Fatal(err)
			}
			w.background("forward", func(ctx context.Context) error {
				ended <- Forward(ctx, ForwardOptions{Common: w.common("client"), Daemon: "daemon", Forwards: []tunnel.ForwardSpec{spec}}, func(e Event) {
					if e.Event == EventReady {
						ready <- e.Addr
					}
				})
				return nil
			})
			c := dialEcho(t, receive(t, "ready", ready))
			var rows []ClientRow
			w.eventually("one client with one live link: the pairing's ends by itself", func() bool {
				rows, _, err = Clients(t.Context(), w.common("daemon"))
				return err == nil && len(rows) == 1 && rows[0].Live == 1
			})
			if how == "command" {
				if _, err := Revoke(t.Context(), w.common("daemon"), rows[0].Name); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(filepath.Join(w.dir, "daemon", "authorized_clients"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the stream of a revoked client goes on")
			}
			err = receive(t, "end of the forward", ended)
			if CodeOf(err) != CodeRefused {
				t.Errorf("the forward of a revoked client ended with %v, want exit %d", err, CodeRefused)
			}
		})
	}
}

// dialEcho connects and makes sure that the connection works.
func dialEcho(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout)) // a socket just opened
	var b [4]byte
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "ping" {
		t.Fatalf("echo: %q, %v", b, err)
	}
	return c
}

// While the target is down nothing is called ready and local programs see a reset; when it
// comes up, ready is told.
func TestTargetDownThenUp(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().String()
	ln.Close()
	w.expose("daemon", nil, "echo="+target)
	w.pair("daemon", "client")
	f := w.forward("client", "daemon", "0:echo")
	addr := f.waitFor(EventListening).Addr
	down := f.wait("target_unavailable", func(e Event) bool {
		if e.Event == EventReady {
			t.Error("ready was told for a target that is down")
		}
		return e.Event == EventTargetUnavailable
	})
	if down.Code != "refused" {
		t.Errorf("code %q, want refused", down.Code)
	}
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(testTimeout)) // a socket just opened
		_, err = c.Read(make([]byte, 1))
		c.Close()
	} // else the reset came before the connection was seen to be open
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("local connection to a dead target: got %v, want a reset", err)
	}
	ln, err = net.Listen("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, ln)
	if e := f.waitFor(EventReady); e.RTT <= 0 || !strings.HasPrefix(e.Fingerprint, "SHA256:") {
		t.Errorf("ready event %+v lacks round trip or fingerprint", e)
	}
	dialEcho(t, addr)
}

// A daemon with another key under the pinned name is never talked to: exit 25 with both
// fingerprints.
func identityChangedAtDaemon(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.login("client", "client")
	stop := w.expose("daemon", nil, "echo="+echoServer(t))
	w.pair("daemon", "client")
	old := pinned(t, w, "client", "daemon")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// The machine is set up anew: another key takes the name.
	if err := os.RemoveAll(filepath.Join(w.dir, "daemon")); err != nil {
		t.Fatal(err)
	}
	w.login("daemon", "daemon")
	target, err := tunnel.ParseTarget("echo=" + echoServer(t))
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{}, 1)
	w.background("expose", func(ctx context.Context) error {
		return Expose(ctx, ExposeOptions{
			Common: w.common("daemon"), Name: "daemon", Replace: true,
			Targets: []tunnel.Target{target}, Ready: func() { ready <- struct{}{} },
		}, func(Event) {})
	})
	receive(t, "new daemon online", ready)
	spec, err := tunnel.ParseForward("0:echo")
	if err != nil {
		t.Fatal(err)
	}
	err = Forward(t.Context(), ForwardOptions{Common: w.common("client"), Daemon: "daemon", Forwards: []tunnel.ForwardSpec{spec}}, func(Event) {})
	if CodeOf(err) != CodeIdentity {
		t.Fatalf("got %v, want exit %d", err, CodeIdentity)
	}
	m, err := openMachine(t.Context(), w.common("daemon"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{old.Key.Fingerprint().String(), m.identity.PublicKey().Fingerprint().String()} {
		if !strings.Contains(classify(Forward(t.Context(), ForwardOptions{Common: w.common("client"), Daemon: "daemon", Forwards: []tunnel.ForwardSpec{spec}}, func(Event) {})).Error(), want) {
			t.Errorf("the error lacks the fingerprint %s", want)
		}
	}
}

func pinned(t *testing.T, w *world, client, daemon string) config.KnownDaemon {
	t.Helper()
	pins, problems, err := TrustList(w.common(client))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	for _, p := range pins {
		if p.Name == daemon {
			return p
		}
	}
	t.Fatalf("%q is not pinned", daemon)
	return config.KnownDaemon{}
}

// A timeout ends a forward whose target stays away, and none whose target came back.
func TestTargetTimeout(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	addr := freeAddr(t)
	w.expose("daemon", nil, "late="+addr)
	w.pair("daemon", "client")
	spec, err := tunnel.ParseForward("0:late")
	if err != nil {
		t.Fatal(err)
	}
	o := ForwardOptions{Common: w.common("client"), Daemon: "daemon", Forwards: []tunnel.ForwardSpec{spec}, Timeout: 200 * time.Millisecond}
	if err := Forward(t.Context(), o, func(Event) {}); CodeOf(err) != CodeTarget {
		t.Errorf("a target that stays away: %v, want code %d", err, CodeTarget)
	}

	l := &listener{f: &forwarding{o: forwardingOptions{timeout: time.Millisecond}}, state: forwardUnavailable}
	failed := make(chan error, 1)
	l.failLater(func(err error) { failed <- err })
	l.become(forwardReady, "", "")
	l.reached()
	l.become(forwardUnavailable, "refused", "")
	l.trouble = errorf(CodeTarget, "refused", "", "nothing listens there")
	l.failLater(func(err error) { failed <- err })
	if err := receive(t, "the second time", failed); CodeOf(err) != CodeTarget {
		t.Errorf("away again: %v", err)
	}
	if l.reached(); len(failed) > 0 {
		t.Errorf("the first time ended it too: %v", <-failed)
	}
}
