package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testOptions measure everything for so short that only the way of it is tested.
func testOptions(t *testing.T) options {
	t.Helper()
	o, err := parseOptions([]string{"--quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.unit, o.streams = 20*time.Millisecond, 20
	if testing.Short() {
		o.only, o.systems = []string{"throughput", "latency", "conns", "start"}, []string{"null", "culvert"}
	}
	return o
}

// TestQuick runs what --quick runs, all processes included.
func TestQuick(t *testing.T) {
	o := testOptions(t)
	var log bytes.Buffer
	r, err := measure(t.Context(), o, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, f := range allFigures() {
		if !wanted(o.only, f.name) || f.impossible() != "" {
			continue
		}
		rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row *row) bool { return row.Figure != f.name })
		if len(rows) == 0 {
			t.Errorf("%s: nothing was measured", f.name)
		}
		for _, row := range rows {
			i := slices.IndexFunc(row.Cells, func(c *cell) bool { return c.System == "culvert" })
			if i < 0 {
				t.Errorf("%s, %s: culvert is missing", f.name, row.What)
			} else if c := row.Cells[i]; f.name != "memory" && c.Median <= 0 && !strings.HasSuffix(row.What, "CPU of others") && !strings.HasSuffix(row.What, "CPU") {
				t.Errorf("%s, %s: culvert has %v", f.name, row.What, c.Median)
			}
		}
	}
	var asText, asJSON bytes.Buffer
	if err := errors.Join(r.write(&asText, false), r.write(&asJSON, true)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(asText.String(), "1 stream down") {
		t.Errorf("the table lacks the throughput:\n%s", asText.String())
	}
	var back report
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || len(back.Rows) != len(r.Rows) {
		t.Errorf("the JSON has %d figures, %v; want %d", len(back.Rows), err, len(r.Rows))
	}
	for _, line := range r.LeftOut {
		t.Logf("left out: %s", line)
	}
}

// TestInterrupt: a bench that is ended early leaves neither processes nor files.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &untilWritten{word: []byte("round 1 of 1: null"), then: cancel}
	if _, err := measure(ctx, testOptions(t), log); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "culvert-bench-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if usageKnown {
		if n := children(); n != 0 {
			t.Errorf("%d processes are left", n)
		}
	}
}

// untilWritten calls then when word has been written.
type untilWritten struct {
	word []byte
	then func()
}

func (u *untilWritten) Write(p []byte) (int, error) {
	if bytes.Contains(p, u.word) {
		u.then()
	}
	return len(p), nil
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // in the error
	}{
		{[]string{"--only", "speed"}, `no "speed"`},
		{[]string{"--systems", "null,tor"}, `no "tor"`},
		{[]string{"--rounds", "-1"}, "at least 1"},
		{[]string{"now"}, "flags only"},
	} {
		if _, err := parseOptions(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q in it", tt.args, err, tt.want)
		}
	}
	if code := bench(t.Context(), []string{"--no-such-flag"}, io.Discard, io.Discard); code != 2 {
		t.Errorf("unknown flag: exit code %d, want 2", code)
	}
	o, err := parseOptions([]string{"--only", "path,loss", "--rounds", "5"}, io.Discard)
	if err != nil || o.rounds != 5 || !slices.Equal(o.only, []string{"path", "loss"}) {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	r := &report{Systems: []systemInfo{{Name: "null"}, {Name: "culvert"}}}
	for round, v := range [][2]float64{{100, 60}, {10, 5}, {200, 140}} {
		(&sample{r, "throughput", "culvert", round}).add("x", "MB/s", v[1], higherIsBetter)
		(&sample{r, "throughput", "null", round}).add("x", "MB/s", v[0], higherIsBetter)
	}
	r.finish()
	c := r.Rows[0].Cells[1]
	if c.System != "culvert" || c.Median != 60 || c.Min != 5 || c.Max != 140 || c.Ratio == nil || *c.Ratio != 0.6 {
		t.Errorf("got %+v, ratio %v; want 60 (5 to 140), 0.6", c, c.Ratio)
	}
}

func TestQuantile(t *testing.T) {
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(i+1))
	}
	if p50, p99 := quantile(all, 0.5), quantile(all, 0.99); p50 != 100 || p99 != 198 {
		t.Errorf("got %d and %d, want 100 and 198", p50, p99)
	}
	if p := quantile(all[:1], 0.99); p != 1 {
		t.Errorf("of one: got %d", p)
	}
}

func TestLane(t *testing.T) {
	l := newLane()
	l.now.Store(&conditions{rate: 8e6, delay: time.Second}) // a byte takes a microsecond
	begin := time.Now()
	first, ok1 := l.admit(10_000)
	second, ok2 := l.admit(10_000)
	if !ok1 || !ok2 || first.Sub(begin) < 1010*time.Millisecond || second.Sub(first) != 10*time.Millisecond {
		t.Errorf("10 ms and 20 ms of bytes arrive after %v and %v", first.Sub(begin), second.Sub(begin))
	}
	if _, ok := l.admit(10_000_000); !ok {
		t.Error("a queue that has room must take it")
	}
	if _, ok := l.admit(1); ok {
		t.Error("a full queue must lose it")
	}
	l.now.Store(&conditions{rate: 8e6, dark: true})
	if _, ok := l.admit(1); ok {
		t.Error("nothing passes in the dark")
	}
}

func TestRolesRefuseNonsense(t *testing.T) {
	for _, args := range [][]string{
		{roleNull}, {roleNull, "127.0.0.1:0"}, {roleEcho}, {rolePing, "x"}, {rolePing, "127.0.0.1:1", "soon", "0s"},
	} {
		if code, ok := runRole(args); !ok || code != 1 {
			t.Errorf("%q: exit code %d, %v; want 1", args, code, ok)
		}
	}
	if _, ok := runRole([]string{"role-of-nothing"}); ok {
		t.Error("an unknown role must not be taken for one")
	}
}
