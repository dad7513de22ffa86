package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLoad runs the whole of it with a small crowd: every step checks that the relay has as many peers as it should.
func TestLoad(t *testing.T) {
	o, err := parseLoadOptions([]string{"-n", "60", "--rounds", "1", "--settle", "100ms"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.unit = 20 * time.Millisecond
	var log bytes.Buffer
	r, err := measureLoad(t.Context(), o, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, c := range []*crowd{r.plain, r.tls} {
		if c.daemons.daemons != c.count || c.sessions.sessions != c.count || c.calm.daemons != c.storm {
			t.Errorf("the relay had %d daemons, %d sessions, %d daemons after the storm; want %d, %d, %d",
				c.daemons.daemons, c.sessions.sessions, c.calm.daemons, c.count, c.count, c.storm)
		}
		if c.empty.pss <= 0 || c.stormPeak <= 0 || c.back <= 0 || c.opened.Seconds <= 0 || c.opened.P99 < c.opened.P50 {
			t.Errorf("nothing was measured: %+v", c)
		}
		if perSession := c.perSession(threads); perSession < 0.9 || perSession > 2 {
			t.Errorf("a session has %v goroutines at the relay, want one", perSession)
		}
	}
	file := filepath.Join(t.TempDir(), "LOAD.md")
	if err := r.save(file, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"memory per idle session", "| relay with TLS to both ends |", "nodes for a million daemons"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

func TestLoadOptions(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // in the error
	}{
		{[]string{"-n", "0"}, "at least 1"},
		{[]string{"-n", "10", "--storm", "11"}, "at most -n"},
		{[]string{"--settle", "-1s"}, "not negative"},
		{[]string{"much"}, "flags only"},
	} {
		if _, err := parseLoadOptions(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q in it", tt.args, err, tt.want)
		}
	}
	if code := load(t.Context(), []string{"--no-such-flag"}, io.Discard, io.Discard); code != 2 {
		t.Errorf("unknown flag: exit code %d, want 2", code)
	}
	if o, err := parseLoadOptions(nil, io.Discard); err != nil || o.count != 10_000 || o.storm != 5_000 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestLoadRefusesWhatDoesNotFit(t *testing.T) {
	limit := fileLimit()
	w := &world{site: loopbackSite(), log: io.Discard}
	if _, err := w.crowd(t.Context(), crowdPass{count: limit, storm: 1}); err == nil || !strings.Contains(err.Error(), "open files") {
		t.Errorf("got %v, want an error that names the limit", err)
	}
}

func TestCapacity(t *testing.T) {
	c := &crowd{
		crowdPass: crowdPass{count: 1000, storm: 1000}, kept: 1000,
		empty: usage{pss: 10e6}, daemons: usage{pss: 20e6, kernel: 4e6}, before: usage{pss: 20e6}, sessions: usage{pss: 40e6},
		openCPU: time.Second, stormCPU: 2 * time.Second, stormPeak: 25e6, idle: 10 * time.Second, idleCPU: time.Second,
	}
	// A pair: 15 KB in the storm, 20 KB for the session, 2 KB for each socket; 50 µs/s for each connection; 3 ms to come back.
	want := capacity{memory: 220_000, idle: 20_000, crash: 80_000}
	if got := c.capacity(); got != want || got.daemons() != 20_000 || got.nodes() != 50 {
		t.Errorf("got %+v, %d daemons, %d nodes; want %+v, 20000 and 50", got, got.daemons(), got.nodes(), want)
	}
}
