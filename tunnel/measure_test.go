package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"culvert/mux"
)

// measuring are the measures that run now.
func measuring(r *rig) []Measure {
	var all []Measure
	for _, s := range r.exposer.Streams() {
		if s.Measure != "" {
			all = append(all, s.Measure)
		}
	}
	return all
}

// until polls for something that must come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := testContext(t); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func TestMeasure(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web=1")
	const size = 3<<20 + 17
	var down, up []uint64
	if err := Download(testContext(t), r.client, size, func(n uint64) { down = append(down, n) }); err != nil {
		t.Errorf("download: %v", err)
	}
	if err := Upload(testContext(t), r.client, size, func(n uint64) { up = append(up, n) }); err != nil {
		t.Errorf("upload: %v", err)
	}
	for what, got := range map[string][]uint64{"download": down, "upload": up} {
		if len(got) == 0 || got[len(got)-1] != size {
			t.Errorf("%s tells of %v, want %d at the end", what, got, uint64(size))
		}
	}
	ctx, cancel := context.WithCancel(testContext(t))
	pings := 0
	err := Ping(ctx, r.client, time.Millisecond, func(rtt time.Duration) {
		if pings++; pings == 5 {
			cancel()
		}
		if rtt <= 0 {
			t.Errorf("a round trip of %v", rtt)
		}
	})
	if !errors.Is(err, context.Canceled) || pings != 5 {
		t.Errorf("ping: %d round trips, %v, want 5 and %v", pings, err, context.Canceled)
	}
	until(t, "the measurements' end", func() bool { return len(measuring(r)) == 0 })
}

// A measurement that is given up ends at the daemon too, in either direction.
func TestMeasureCancelled(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web=1")
	for what, run := range map[Measure]func(context.Context, func(uint64)) error{
		MeasureSource: func(ctx context.Context, got func(uint64)) error { return Download(ctx, r.client, 1<<40, got) },
		MeasureSink:   func(ctx context.Context, got func(uint64)) error { return Upload(ctx, r.client, 1<<40, got) },
	} {
		ctx, cancel := context.WithCancel(testContext(t))
		err := run(ctx, func(n uint64) {
			if n > 0 {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", what, err, context.Canceled)
		}
	}
	until(t, "the measurements' end", func() bool { return len(measuring(r)) == 0 })
}

// Whoever may reach no target may not measure either, and loses what is under way.
func TestMeasureNeedsAGrant(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web=1", "ssh=2")
	running, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- Ping(testContext(t), r.client, time.Millisecond, func(time.Duration) {
			select {
			case running <- struct{}{}:
			default:
			}
		})
	}()
	<-running
	r.grants.deny("web", deniedError{"target"})
	if n := r.exposer.Recheck(); n != 0 {
		t.Errorf("one target left: %d streams ended, want none", n)
	}
	r.grants.deny("ssh", deniedError{"target"})
	if n := r.exposer.Recheck(); n != 1 {
		t.Errorf("no target left: %d streams ended, want 1", n)
	}
	if err := <-ended; !errors.Is(err, mux.ErrReset) {
		t.Errorf("the measurement under way: %v, want %v", err, mux.ErrReset)
	}
	err := Download(testContext(t), r.client, 1, func(uint64) {})
	if se, ok := errors.AsType[*StatusError](err); !ok || se.Status != StatusDenied {
		t.Errorf("a new one: %v, want %v", err, StatusDenied)
	}
}

// A daemon serves few measurements at once, other targets stay as they are, and what it
// does not know it says.
func TestMeasureLimits(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web=1")
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var open []*Conn
	for range maxMeasures {
		c, err := ask(ctx, r.client, request{KindMeasure, string(MeasureEcho)})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	ts, err := ParseTargets("other=1")
	if err != nil {
		t.Fatal(err)
	}
	if n := r.exposer.SetTargets(ts); n != 0 {
		t.Errorf("new targets end %d measurements", n)
	}
	err = Upload(ctx, r.client, 1, func(uint64) {})
	if se, ok := errors.AsType[*StatusError](err); !ok || se.Status != StatusBusy {
		t.Errorf("one too many: %v, want %v", err, StatusBusy)
	}
	for _, c := range open {
		_ = c.Close()
	}
	until(t, "the measurements' end", func() bool { return len(measuring(r)) == 0 })
	_, err = ask(ctx, r.client, request{KindMeasure, "nothing"})
	if se, ok := errors.AsType[*StatusError](err); !ok || se.Status != StatusUnsupported {
		t.Errorf("an unknown measure: %v, want %v", err, StatusUnsupported)
	}
	// A source that is asked for nothing ends at once; one that is not told how much, too.
	for _, wanted := range [][]byte{binary.BigEndian.AppendUint64(nil, 0), {1, 2}} {
		c, err := ask(ctx, r.client, request{KindMeasure, string(MeasureSource)})
		if err != nil {
			t.Fatal(err)
		}
		_, werr := c.Write(wanted)
		if err := errors.Join(werr, c.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, c)
		if whole := len(wanted) == 8; n != 0 || (err == nil) != whole {
			t.Errorf("source asked with % x: %d bytes, %v", wanted, n, err)
		}
		_ = c.Close()
	}
}
