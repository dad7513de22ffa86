//go:build unix

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"culvert/service"
)

// TestNotify is what a service manager hears of a process that it started.
func TestNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "n") // t.TempDir is too long for a socket on macOS
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	r := newTestRun(t)
	r.a.calls.up = func(_ context.Context, o service.UpOptions, sink service.Sink) error {
		if o.BeatEvery != 10*time.Second {
			t.Errorf("a beat every %v, want a third of 30s", o.BeatEvery)
		}
		sink(service.Event{Event: service.EventOnline, Name: "box"})
		sink(service.Event{Event: service.EventClientConnected})
		o.Ready()
		o.Ready() // once is enough
		o.Beat()
		sink(service.Event{Event: service.EventOffline, Reason: "relay lost\nREADY=1"})
		return nil
	}
	if r.run("up", "--state-dir", t.TempDir()); r.code != 0 {
		t.Fatalf("exit code %d, stderr %q", r.code, r.stderr.String())
	}
	b := make([]byte, 1024)
	for _, want := range []string{"STATUS=online as box", "READY=1", "WATCHDOG=1", "STATUS=offline: relay lost READY=1"} {
		if err := ln.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := ln.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("got %q, %v; want %q", b[:n], err, want)
		}
	}
}

// TestNotifyNobody: a process that nobody watches has no beat.
func TestNotifyNobody(t *testing.T) {
	for _, pid := range []string{"", "1"} {
		t.Setenv("WATCHDOG_USEC", "30000000")
		t.Setenv("WATCHDOG_PID", pid)
		if pid == "" {
			t.Setenv("WATCHDOG_USEC", "")
		}
		if beat, every := watchdog(); beat != nil || every != 0 {
			t.Errorf("WATCHDOG_PID=%q: a beat every %v", pid, every)
		}
	}
}
