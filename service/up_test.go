package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"culvert/config"
)

// upped is a running Up whose file the test writes.
type upped struct {
	*forwarded
	common Common
	hangup chan os.Signal
	ready  chan struct{}
	ended  chan error
}

// up runs Up on a machine with this file. A test that wants it to fail receives from ended.
func (w *world) up(machine, file string) *upped {
	w.t.Helper()
	u := &upped{
		forwarded: &forwarded{w: w, more: make(chan struct{}, 1)}, common: w.common(machine),
		hangup: make(chan os.Signal), ready: make(chan struct{}, 1), ended: make(chan error, 1),
	}
	u.write(file)
	u.stop = w.background("up", func(ctx context.Context) error {
		err := Up(ctx, UpOptions{Common: u.common, Reload: u.hangup, Ready: func() { u.ready <- struct{}{} }}, u.observe)
		u.ended <- err
		if ctx.Err() == nil {
			return nil // the test looks at it
		}
		return err
	})
	return u
}

func (u *upped) write(file string) {
	u.w.t.Helper()
	if err := os.MkdirAll(u.common.StateDir, 0o700); err != nil {
		u.w.t.Fatal(err)
	}
	if err := os.WriteFile(config.PathIn(u.common.StateDir), []byte(file), 0o600); err != nil {
		u.w.t.Fatal(err)
	}
}

func (u *upped) waitReady() {
	u.w.t.Helper()
	select {
	case <-u.ready:
	case err := <-u.ended:
		u.w.t.Fatalf("up ended: %v", err)
	case <-time.After(testTimeout):
		u.w.t.Fatalf("up is not ready; events %+v", u.events)
	}
}

// reload writes the file and applies it.
func (u *upped) reload(file string) (string, error) {
	u.w.t.Helper()
	u.write(file)
	done, err := Reload(u.w.t.Context(), u.common)
	if err != nil {
		return "", err
	}
	if len(done) != 1 || done[0].PID != os.Getpid() {
		u.w.t.Fatalf("reloaded %+v, want one process, this one", done)
	}
	return done[0].Changed, nil
}

// mustReload wants the words for what changed.
func (u *upped) mustReload(file, want string) {
	u.w.t.Helper()
	got, err := u.reload(file)
	if err != nil || got != want {
		u.w.t.Fatalf("reload: %q, %v; want %q", got, err, want)
	}
}

// addrOf waits until a forward is ready and returns its address.
func (u *upped) addrOf(target string) string {
	u.w.t.Helper()
	return u.wait("ready "+target, func(e Event) bool { return e.Event == EventReady && e.Target == target }).Addr
}

// status is what the process says of itself.
func (u *upped) status() ProcessStatus {
	u.w.t.Helper()
	return oneStatus(u.w.t, u.common)
}

func oneStatus(t *testing.T, c Common) ProcessStatus {
	t.Helper()
	all, problems, err := Status(t.Context(), c)
	if err != nil || len(problems) > 0 || len(all) != 1 {
		t.Fatalf("status: %+v, problems %v, %v; want one process", all, problems, err)
	}
	return all[0]
}

// eventually waits until the status fits.
func (u *upped) eventually(what string, fits func(ProcessStatus) bool) ProcessStatus {
	u.w.t.Helper()
	return statusSoon(u.w.t, u.common, what, fits)
}

func statusSoon(t *testing.T, c Common, what string, fits func(ProcessStatus) bool) ProcessStatus {
	t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		st := oneStatus(t, c)
		if fits(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("status: not %s: %+v", what, st)
		}
	}
}

// wantAlive wants an echo on the connection.
func wantAlive(t *testing.T, what string, c net.Conn) {
	t.Helper()
	var b [4]byte
	if _, err := io.WriteString(c, "ping"); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "ping" {
		t.Fatalf("%s: echo %q, %v", what, b, err)
	}
}

// wantEnded wants the connection to end.
func wantEnded(t *testing.T, what string, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection still stands (%v)", what, err)
	}
}

func wantRefused(t *testing.T, what, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: dial %s: %v, want a refused connection", what, addr, err)
	}
}

// freeAddr is an address that nobody listens on now.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// upWorld is a daemon machine that is up with some targets that all echo, and a paired
// client machine.
func upWorld(t *testing.T, targets ...string) (*world, *upped, string) {
	t.Helper()
	w := newWorld(t)
	w.login("daemon", "daemon")
	echo := echoServer(t)
	var file strings.Builder
	file.WriteString("name: daemon\ntargets:\n")
	for _, name := range targets {
		file.WriteString(fmt.Sprintf("  %s: %s\n", name, echo))
	}
	d := w.up("daemon", file.String())
	d.waitReady()
	w.pair("daemon", "client")
	return w, d, echo
}

// One process exposes targets and forwards to itself and others; a reload touches only
// what has changed.
func TestReloadForwards(t *testing.T) {
	w, _, _ := upWorld(t, "a", "b", "c")
	u := w.up("client", "forwards:\n  daemon:\n    - 0:a\n    - 0:b\n")
	u.waitReady()
	addrA, addrB := u.addrOf("a"), u.addrOf("b")
	a, b := dialEcho(t, addrA), dialEcho(t, addrB)

	// The same file, then one with another order and a new forward: nothing is touched.
	u.mustReload("forwards:\n  daemon:\n    - 0:a\n    - 0:b\n", "forwards: 2 unchanged; targets: none")
	u.mustReload("forwards:\n  daemon:\n    - 0:c\n    - 0:b\n    - 0:a\n", "forwards: 2 unchanged, 1 added; targets: none")
	addrC := u.addrOf("c")
	c := dialEcho(t, addrC)
	wantAlive(t, "unchanged a", a)
	wantAlive(t, "unchanged b", b)
	st := u.status()
	if len(st.Forwards) != 3 || st.Forwards[0].Target != "c" || len(st.Links) != 1 || st.Reloaded.IsZero() {
		t.Errorf("status after reload: %+v, want c, b, a and one link", st)
	}

	// b is removed, c goes to another address, a stays.
	other := freeAddr(t)
	u.mustReload("forwards:\n  daemon:\n    - 0:a\n    - "+portOf(other)+":c\n", "forwards: 1 unchanged, 1 changed, 1 removed; targets: none")
	wantEnded(t, "removed b", b)
	wantEnded(t, "changed c", c)
	wantRefused(t, "removed b", addrB)
	wantRefused(t, "changed c", addrC)
	if e := u.wait("closed b", func(e Event) bool { return e.Event == EventClosed && e.Target == "b" }); e.Addr != addrB {
		t.Errorf("closed %q, want %q", e.Addr, addrB)
	}
	c = dialEcho(t, other)
	wantAlive(t, "unchanged a", a)

	// A broken file changes nothing and says where.
	_, err := u.reload("forwards:\n  daemon:\n    - 0:a:b:c\n  deamon:\n    - []\n")
	if CodeOf(err) != CodeConfig || !strings.Contains(err.Error(), ":3:7: ") || !strings.Contains(err.Error(), "nothing is changed") {
		t.Errorf("broken file: %v, want exit 10 with the place", err)
	}
	u.wait("error of the broken file", func(e Event) bool { return e.Event == EventError && e.Code == "config" })
	wantAlive(t, "a after a broken file", a)
	wantAlive(t, "c after a broken file", c)

	// SIGHUP does the same as the command.
	u.write("forwards:\n  daemon:\n    - 0:a\n")
	u.hangup <- syscall.SIGHUP
	u.wait("reloaded", func(e Event) bool {
		return e.Event == EventReloaded && e.Message == "forwards: 1 unchanged, 1 removed; targets: none"
	})
	wantEnded(t, "removed c", c)
	wantAlive(t, "a at the end", a)
}

// A reload whose new address is busy changes nothing; addresses may be swapped.
func TestReloadAddresses(t *testing.T) {
	w, _, _ := upWorld(t, "a", "b")
	one, two := portOf(freeAddr(t)), portOf(freeAddr(t))
	u := w.up("client", "forwards:\n  daemon:\n    - "+one+":a\n    - "+two+":b\n")
	u.waitReady()
	conn := dialEcho(t, "127.0.0.1:"+one)

	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, err = u.reload("forwards:\n  daemon:\n    - " + one + ":b\n    - " + portOf(busy.Addr().String()) + ":a\n")
	if CodeOf(err) != CodeBind {
		t.Errorf("busy address: %v, want exit %d", err, CodeBind)
	}
	wantAlive(t, "a after a refused reload", conn)

	u.mustReload("forwards:\n  daemon:\n    - "+one+":b\n    - "+two+":a\n", "forwards: 2 changed; targets: none")
	wantEnded(t, "changed a", conn)
	st := u.eventually("ready at swapped addresses", func(st ProcessStatus) bool {
		return len(st.Forwards) == 2 && st.Forwards[0].State == forwardReady && st.Forwards[1].State == forwardReady
	})
	for i, want := range []string{"127.0.0.1:" + one + " b", "127.0.0.1:" + two + " a"} {
		if got := st.Forwards[i].Addr + " " + st.Forwards[i].Target; got != want {
			t.Errorf("forward %d: %q, want %q", i, got, want)
		}
	}

	// when_held alone makes it another forward, at the address that it gives up.
	u.mustReload("forwards:\n  daemon:\n    - {forward: '"+one+":b', when_held: refuse}\n    - "+two+":a\n", "forwards: 1 unchanged, 1 changed; targets: none")
	dialEcho(t, "127.0.0.1:"+one)

	// No daemons any more, but a target: the process goes on as something else.
	u.w.login("client", "daemon")
	u.mustReload("targets:\n  x: 1\n", "forwards: 2 removed; targets: 1 added")
	wantRefused(t, "removed daemon", "127.0.0.1:"+two)
	st = u.eventually("online", func(st ProcessStatus) bool { return st.Exposure != nil && st.Exposure.State == "online" })
	if len(st.Forwards)+len(st.Links) != 0 || len(st.Targets) != 1 {
		t.Errorf("status: %+v, want a target alone", st)
	}
	u.mustReload("forwards:\n  daemon:\n    - "+two+":a\n", "forwards: 1 added; targets: 1 removed")
	u.eventually("not exposing", func(st ProcessStatus) bool { return st.Exposure == nil && len(st.Targets) == 0 })
	dialEcho(t, "127.0.0.1:"+two)
}

// Targets change under the clients: the streams of those that stay live on. The name
// changes too.
func TestReloadTargets(t *testing.T) {
	w, d, echo := upWorld(t, "a", "b")
	u := w.up("client", "forwards:\n  daemon:\n    - 0:a\n    - 0:b\n    - 0:c\n")
	u.wait("unknown target c", func(e Event) bool { return e.Event == EventTargetUnavailable && e.Target == "c" })
	addrB := u.addrOf("b")
	a, b := dialEcho(t, u.addrOf("a")), dialEcho(t, addrB)
	file := "name: daemon\ntargets:\n  a: " + echo + "\n  c: " + echo + "\n"
	d.mustReload(file, "forwards: none; targets: 1 unchanged, 1 added, 1 removed")
	wantEnded(t, "removed target b", b)
	wantAlive(t, "unchanged target a", a)
	dialEcho(t, u.addrOf("c"))
	// The next connection to b is the news for the client.
	if gone, err := net.Dial("tcp", addrB); err == nil { // else the reset came before it was seen to be open
		defer gone.Close()
		wantEnded(t, "connection to a removed target", gone)
	}
	u.eventually("b unavailable", func(st ProcessStatus) bool {
		return st.Forwards[1].State == forwardUnavailable && st.Forwards[1].Code == "unknown_target"
	})

	st := d.eventually("two links' connections", func(st ProcessStatus) bool { return len(st.Conns) == 2 })
	if len(st.Targets) != 2 || st.Targets[0].Granted != 1 || st.Targets[0].Connections != 1 || st.Targets[0].Address != echo {
		t.Errorf("targets %+v, want a with one grant and one connection", st.Targets)
	}
	d.mustReload(strings.Replace(file, "daemon", "renamed", 1), "forwards: none; targets: 2 unchanged")
	rows, err := Daemons(t.Context(), w.common("daemon"))
	if err != nil || len(rows) != 1 || rows[0].Name != "renamed" || d.status().Exposure.Name != "renamed" {
		t.Errorf("after renaming: %+v, %v", rows, err)
	}
	wantAlive(t, "a after renaming", a)
}

// Once all was ready, a daemon that refuses ends its own forwards only; when nothing else
// is left, the process ends with that failure.
func TestUpPartFails(t *testing.T) {
	w := newWorld(t)
	echo := echoServer(t)
	for _, name := range []string{"one", "two"} {
		w.login(name, "daemon")
		w.expose(name, nil, "echo="+echo)
		w.pair(name, "client")
	}
	u := w.up("client", "forwards:\n  one: 0:echo\n  two: 0:echo\n")
	u.waitReady()
	addr := map[string]string{}
	for range 2 {
		e := u.waitFor(EventReady)
		addr[e.Daemon] = e.Addr
	}
	conn := dialEcho(t, addr["two"])
	revoke := func(daemon string) {
		t.Helper()
		rows, _, err := Clients(t.Context(), w.common(daemon))
		if err != nil || len(rows) != 1 {
			t.Fatalf("clients of %s: %+v, %v", daemon, rows, err)
		}
		if _, err := Revoke(t.Context(), w.common(daemon), rows[0].Name); err != nil {
			t.Fatal(err)
		}
	}
	revoke("one")
	st := u.eventually("one failed", func(st ProcessStatus) bool { return st.Forwards[0].State == forwardFailed })
	if st.Forwards[0].Code != "not_authorized" || st.Forwards[1].State != forwardReady {
		t.Errorf("forwards %+v, want the first one not authorised, the second one ready", st.Forwards)
	}
	wantRefused(t, "failed forward", addr["one"])
	wantAlive(t, "the other daemon's", conn)

	// Paired again, a reload brings it back.
	w.pair("one", "client")
	u.mustReload("forwards:\n  one: 0:echo\n  two: 0:echo\n", "forwards: 1 unchanged, 1 added; targets: none")
	dialEcho(t, u.wait("ready one", func(e Event) bool { return e.Event == EventReady && e.Daemon == "one" }).Addr)

	revoke("one")
	revoke("two")
	if err := receive(t, "end of up", u.ended); CodeOf(err) != CodeRefused {
		t.Errorf("with nothing left: %v, want exit %d", err, CodeRefused)
	}
}

// Before anything was ready, what cannot heal by itself ends it.
func TestUpFailures(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "echo="+echoServer(t))
	w.login("stranger", "client")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := portOf(busy.Addr().String())
	for name, tt := range map[string]struct {
		machine, file string
		code          Code
		word          string
	}{
		"no file":            {"stranger", "", CodeConfig, "config_missing"},
		"mistakes":           {"stranger", "targets: [1]\n", CodeConfig, "config"},
		"nothing to run":     {"stranger", "name: x\n", CodeConfig, "config"},
		"not pinned":         {"stranger", "forwards:\n  daemon: 0:echo\n", CodeRefused, "not_trusted"},
		"busy":               {"stranger", "forwards:\n  daemon: " + port + ":echo\n", CodeBind, "bind_busy"},
		"not logged in":      {"nobody", "targets:\n  x: 1\n", CodeLogin, "not_logged_in"},
		"already running":    {"daemon", "targets:\n  x: 1\n", CodeConfig, "already_running"},
		"not a daemon's key": {"stranger", "targets:\n  x: 1\n", CodeLogin, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/c.yaml"
			if tt.file != "" {
				if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			err := Up(ctx, UpOptions{Common: w.common(tt.machine), File: path, Ready: func() { t.Error("ready was told") }}, func(Event) {})
			if e := classify(err); e == nil || e.Code != tt.code || tt.word != "" && e.Name != tt.word {
				t.Errorf("got %+v, want exit %d, %s", e, tt.code, tt.word)
			}
		})
	}
}

func TestReloadWithoutUp(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	if _, err := Reload(t.Context(), w.common("daemon")); CodeOf(err) != CodeFailure || classify(err).Name != "not_running" {
		t.Errorf("nothing runs: %v", err)
	}
	w.expose("daemon", nil, "echo="+echoServer(t))
	if _, err := Reload(t.Context(), w.common("daemon")); CodeOf(err) != CodeFailure || classify(err).Name != "not_running" {
		t.Errorf("expose runs: %v", err)
	}
}

// A changed hold time is in force for the next link; one that cannot be changes nothing.
func TestReloadHoldTime(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	target := "a=" + echoServer(t)
	stop := w.expose("daemon", nil, target)
	w.pair("daemon", "client")
	const forwards = "forwards:\n  daemon:\n    - 0:a\n"
	u := w.up("client", forwards)
	u.waitReady()
	u.mustReload("hold_time: 1s\n"+forwards, "forwards: 1 unchanged; targets: none; hold_time changed, for links that begin from now on")
	if _, err := u.reload("hold_time: 1ms\n" + forwards); CodeOf(err) != CodeConfig || !strings.Contains(err.Error(), "1ms") {
		t.Errorf("a hold time that cannot be: %v", err)
	}
	u.waitFor(EventReady)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.expose("daemon", nil, target)
	u.waitFor(EventReady)
	if err := w.stopRelay(); err != nil {
		t.Fatal(err)
	}
	u.wait("the end of a hold time of 1 s", func(e Event) bool { return e.Event == EventLost && strings.Contains(e.Reason, "no path for 1s") })
}
