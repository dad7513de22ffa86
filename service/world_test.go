package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"culvert/config"
	"culvert/tunnel"
)

// world is relay, daemon machine and client machine in one process: the real parts over
// real loopback sockets, each with a state directory of its own.
type world struct {
	t     *testing.T
	dir   string
	relay RelayInfo
	// stopRelay ends the relay before the test does.
	stopRelay func() error
	log       *slog.Logger // of all machines; nil: none
}

const testTimeout = 30 * time.Second

func newWorld(t *testing.T, change ...func(*RelayOptions)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.startRelay(change...)
	return w
}

// startRelay starts the relay, also anew.
func (w *world) startRelay(change ...func(*RelayOptions)) {
	w.t.Helper()
	ready := make(chan RelayInfo, 1)
	o := RelayOptions{Common: w.common("relay"), Listen: "127.0.0.1:0", Ready: func(i RelayInfo) { ready <- i }}
	for _, c := range change {
		c(&o)
	}
	w.stopRelay = w.background("relay", func(ctx context.Context) error { return RunRelay(ctx, o, func(Event) {}) })
	w.relay = receive(w.t, "relay", ready)
}

func (w *world) common(machine string) Common {
	return Common{StateDir: filepath.Join(w.dir, machine), Program: "culvert test", Logger: w.log}
}

// background runs a part until the test ends, and fails the test if it fails.
func (w *world) background(what string, run func(ctx context.Context) error) (stop func() error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-done:
			case <-time.After(testTimeout):
				err = errors.New("did not end")
			}
		})
		return err
	}
	w.t.Cleanup(func() {
		if err := stop(); err != nil {
			w.t.Errorf("%s: %v", what, err)
		}
	})
	return stop
}

func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(testTimeout):
		t.Fatalf("%s: nothing came within %v", what, testTimeout)
	}
	panic("unreachable")
}

// login enrols a machine with a fresh key.
func (w *world) login(machine string, scopes ...string) {
	w.t.Helper()
	_, key, err := CreateKey(w.t.Context(), KeyStoreOptions{Common: w.common("relay")}, KeySpec{Name: machine, Scopes: scopes})
	if err != nil {
		w.t.Fatalf("make key: %v", err)
	}
	if _, err := Login(w.t.Context(), LoginOptions{Common: w.common(machine), URL: w.relay.URL, APIKey: config.NewSecret(key), Name: machine}); err != nil {
		w.t.Fatalf("login %s: %v", machine, err)
	}
}

// expose starts a daemon and waits until it is online.
func (w *world) expose(machine string, sink Sink, targets ...string) (stop func() error) {
	w.t.Helper()
	o := ExposeOptions{Common: w.common(machine), Name: machine}
	for _, s := range targets {
		target, err := tunnel.ParseTarget(s)
		if err != nil {
			w.t.Fatal(err)
		}
		o.Targets = append(o.Targets, target)
	}
	ready := make(chan struct{}, 1)
	o.Ready = func() { ready <- struct{}{} }
	if sink == nil {
		sink = func(Event) {}
	}
	stop = w.background("expose", func(ctx context.Context) error { return Expose(ctx, o, sink) })
	receive(w.t, "daemon online", ready)
	return stop
}

// pair authorises the client machine at the daemon machine.
func (w *world) pair(daemon, client string) {
	w.t.Helper()
	code, err := MakePairing(w.t.Context(), PairOptions{Common: w.common(daemon)})
	if err != nil {
		w.t.Fatalf("make pairing code: %v", err)
	}
	if !code.Running {
		w.t.Error("the running daemon was not found")
	}
	if _, err := RedeemPairing(w.t.Context(), RedeemOptions{Common: w.common(client), Code: code.Code, URL: w.relay.URL}); err != nil {
		w.t.Fatalf("redeem pairing code: %v", err)
	}
}

// forwarded is a running forward whose events can be waited for.
type forwarded struct {
	w      *world
	stop   func() error
	mu     sync.Mutex
	events []Event
	more   chan struct{}
}

func (w *world) forward(client, daemon string, specs ...string) *forwarded {
	w.t.Helper()
	o := ForwardOptions{Common: w.common(client), Daemon: daemon}
	for _, s := range specs {
		spec, err := tunnel.ParseForward(s)
		if err != nil {
			w.t.Fatal(err)
		}
		o.Forwards = append(o.Forwards, spec)
	}
	f := &forwarded{w: w, more: make(chan struct{}, 1)}
	f.stop = w.background("forward", func(ctx context.Context) error { return Forward(ctx, o, f.observe) })
	return f
}

func (f *forwarded) observe(e Event) {
	f.mu.Lock()
	f.events = append(f.events, e)
	f.mu.Unlock()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// wait returns the first event that fits, among those so far and those to come.
func (f *forwarded) wait(what string, fits func(Event) bool) Event {
	f.w.t.Helper()
	timeout := time.After(testTimeout)
	for {
		f.mu.Lock()
		i := slices.IndexFunc(f.events, fits)
		if i >= 0 {
			e := f.events[i]
			f.events = slices.Delete(f.events, i, i+1)
			f.mu.Unlock()
			return e
		}
		seen := slices.Clone(f.events)
		f.mu.Unlock()
		select {
		case <-f.more:
		case <-timeout:
			f.w.t.Fatalf("no event %s; there were %+v", what, seen)
		}
	}
}

func (f *forwarded) waitFor(name string) Event {
	f.w.t.Helper()
	return f.wait(name, func(e Event) bool { return e.Event == name })
}

// echoServer sends back what it gets, with half-close.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, ln)
	return ln.Addr().String()
}

func serveEcho(t *testing.T, ln net.Listener) {
	t.Helper()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if _, err := io.Copy(c, c); err == nil {
					_ = c.(*net.TCPConn).CloseWrite()
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
}

// eventually waits until it is so.
func (w *world) eventually(what string, so func() bool) {
	w.t.Helper()
	deadline, poll := time.After(testTimeout), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for !so() {
		select {
		case <-poll.C:
		case <-deadline:
			w.t.Fatalf("%s has not come within %v", what, testTimeout)
		}
	}
}
