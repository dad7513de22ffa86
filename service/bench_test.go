package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/mux"
	"culvert/tunnel"
)

// A measurement has figures for everything, moves what it may and leaves nothing behind.
func TestBench(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "web=1")
	w.pair("daemon", "client")
	var steps []string
	r, err := Bench(t.Context(), BenchOptions{
		Common: w.common("client"), Daemon: "daemon", For: 200 * time.Millisecond, Limit: 4e6,
		Step: func(s BenchStep) {
			if len(steps) == 0 || steps[len(steps)-1] != s.What {
				steps = append(steps, s.What)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{StepConnect, StepRelay, StepIdle, StepDown, StepUp}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if r.RelayRTT.Count != relayPings || r.IdleRTT.Count == 0 || r.IdleRTT.Min <= 0 || r.Daemon != "daemon" || r.Fingerprint == "" || r.Relay == "" {
		t.Errorf("result %+v", r)
	}
	for what, got := range map[string]Throughput{"down": r.Down, "up": r.Up} {
		if got.Bytes == 0 || got.Bytes > 4e6 || got.Rate <= 0 || got.Seconds <= 0 {
			t.Errorf("%s: %+v, want up to 4 MB at some rate", what, got)
		}
	}
	statusSoon(t, w.common("daemon"), "no link and no stream left", func(st ProcessStatus) bool {
		return len(st.Links) == 0 && len(st.Conns) == 0
	})
}

// What breaks the tunnel ends the measurement with its reason, and so does who asked.
func TestBenchEnds(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "web=1")
	w.pair("daemon", "client")
	bench := func(ctx context.Context, atDownload func()) error {
		o := BenchOptions{Common: w.common("client"), Daemon: "daemon", For: maxBenchTime}
		o.Step = func(s BenchStep) {
			if s.What == StepDown && atDownload != nil {
				atDownload()
				atDownload = nil
			}
		}
		_, err := Bench(ctx, o)
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := bench(ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	revoke := func() {
		rows, _, err := Clients(t.Context(), w.common("daemon"))
		if err != nil || len(rows) != 1 {
			t.Errorf("clients: %v, %v", rows, err)
			return
		}
		if _, err := Revoke(t.Context(), w.common("daemon"), rows[0].Name); err != nil {
			t.Errorf("revoke: %v", err)
		}
	}
	if err := bench(t.Context(), revoke); CodeOf(err) != CodeRefused {
		t.Errorf("revoked: %v, code %d, want %d", err, CodeOf(err), CodeRefused)
	}
	if err := bench(t.Context(), nil); CodeOf(err) != CodeRefused {
		t.Errorf("not granted: %v, code %d, want %d", err, CodeOf(err), CodeRefused)
	}
	w.pair("daemon", "client")
	lose := func() { _ = w.stopRelay() } // told at the end
	if err := bench(t.Context(), lose); CodeOf(err) != CodeRelay {
		t.Errorf("relay lost: %v, code %d, want %d", err, CodeOf(err), CodeRelay)
	}
	if err := bench(t.Context(), nil); CodeOf(err) != CodeRelay {
		t.Errorf("no relay: %v, code %d, want %d", err, CodeOf(err), CodeRelay)
	}
	if _, err := Bench(t.Context(), BenchOptions{Common: w.common("client"), For: time.Hour}); CodeOf(err) != CodeUsage {
		t.Errorf("too long: %v", err)
	}
}

// What a daemon's refusal means here, an older daemon's above all.
func TestBenchExplains(t *testing.T) {
	b := &bench{o: BenchOptions{Daemon: "laptop"}}
	for _, tt := range []struct {
		status tunnel.Status
		code   Code
		text   string
	}{
		{tunnel.StatusUnsupported, CodeFailure, "too old"},
		{tunnel.StatusBusy, CodeDaemon, "busy"},
		{tunnel.StatusDenied, CodeRefused, "nothing"},
		{tunnel.StatusTimeout, CodeTarget, "timeout"},
	} {
		err := b.explain(fmt.Errorf("measure: %w", &tunnel.StatusError{Status: tt.status}))
		if CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: code %d, %v; want %d and %q", tt.status, CodeOf(err), err, tt.code, tt.text)
		}
	}
	if err := b.interrupted(fmt.Errorf("carrier: %w", mux.ErrPathDown)); CodeOf(err) != CodeDaemon {
		t.Errorf("daemon gone: %v", err)
	}
}

func TestMeter(t *testing.T) {
	begin := time.Now()
	at := func(m *meter, ms int, total uint64) bool {
		return m.add(begin.Add(time.Duration(ms)*time.Millisecond), total)
	}
	m := &meter{warmUp: time.Second, length: 2 * time.Second, begin: begin, from: reading{at: begin}, last: reading{at: begin}}
	for _, tt := range []struct {
		ms     int
		total  uint64
		enough bool
		rate   float64
	}{{500, 100, false, 200}, {1000, 1000, false, 0}, {2000, 3000, false, 2000}, {3000, 7000, true, 3000}} {
		if got := at(m, tt.ms, tt.total); got != tt.enough || m.rate() != tt.rate {
			t.Errorf("after %d ms: enough %v at %v, want %v at %v", tt.ms, got, m.rate(), tt.enough, tt.rate)
		}
	}
	if got := m.throughput(RoundTrips{}); got.Bytes != 7000 || got.Rate != 3000 || got.Seconds != 2 {
		t.Errorf("throughput %+v", got)
	}
	// All of it came with the reading that ended the warm-up.
	m = &meter{warmUp: time.Second, length: time.Second, begin: begin, from: reading{at: begin}, last: reading{at: begin}}
	at(m, 2000, 10)
	if got := m.throughput(RoundTrips{}); got.Rate != 5 || got.Seconds != 2 {
		t.Errorf("one reading: %+v", got)
	}
}

func TestRoundTrips(t *testing.T) {
	if got := roundTrips(nil); got != (RoundTrips{}) {
		t.Errorf("none: %+v", got)
	}
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(100-i)*time.Millisecond)
	}
	if got, want := roundTrips(all), (RoundTrips{100, 1, 50, 95, 100}); got != want {
		t.Errorf("1 to 100 ms: %+v, want %+v", got, want)
	}
	if got, want := roundTrips(all[:2]), (RoundTrips{2, 1, 1, 2, 2}); got != want {
		t.Errorf("1 and 2 ms: %+v, want %+v", got, want)
	}
}
