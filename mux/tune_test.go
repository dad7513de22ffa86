package mux

import (
	"testing"
	"time"
)

// pathOf is a bottleneck of rate bytes a second with this round trip when nothing queues. The peer sends all that the
// window lets it, unless it has less to say.
func pathOf(window int, rate float64, rtt time.Duration) float64 {
	return min(float64(window)/rtt.Seconds(), rate)
}

// tuneOver has a tuner see a path for some time and gives the window that it settles at.
func tuneOver(tn *tuner, window int, rate float64, rtt, span time.Duration, limited bool) int {
	now, received := time.Unix(1000, 0), tn.from
	if !tn.at.IsZero() {
		now = tn.at
	}
	for end := now.Add(span); now.Before(end); {
		got := pathOf(window, rate, rtt)
		step := time.Millisecond
		received += uint64(got * step.Seconds())
		now = now.Add(step)
		if limited {
			tn.tell(received)
		}
		if w := tn.data(received, now, rtt, window); w > 0 {
			window = min(max(w, 256<<10), 16<<20)
		}
	}
	return window
}

func TestTunerFollowsThePath(t *testing.T) {
	const start = 256 << 10
	for _, p := range []struct {
		name string
		rate float64
		rtt  time.Duration
		want float64 // bytes
	}{
		{"25 MB/s, 100 ms", 25e6, 100 * time.Millisecond, steadyGain * 2.5e6},
		{"125 MB/s, 100 ms", 125e6, 100 * time.Millisecond, steadyGain * 12.5e6},
		{"1 MB/s, 40 ms: the smallest will do", 1e6, 40 * time.Millisecond, start},
		{"1.25 GB/s, 100 ms: the largest must do", 1.25e9, 100 * time.Millisecond, 16 << 20},
		{"200 MB/s on loopback", 200e6, 100 * time.Microsecond, steadyGain * 200e6 * calmFloor.Seconds()},
	} {
		t.Run(p.name, func(t *testing.T) {
			var tn tuner
			got := float64(tuneOver(&tn, start, p.rate, p.rtt, 6*time.Second, true))
			if got < 0.9*p.want || got > 1.1*p.want {
				t.Errorf("window %.0f, want about %.0f", got, p.want)
			}
			if tn.full < fullAfter {
				t.Errorf("the path is not called full")
			}
		})
	}
}

// TestTunerMakesRoomForKeystrokes has something small be written beside bulk: the window is short until nothing was for a while.
func TestTunerMakesRoomForKeystrokes(t *testing.T) {
	const rate, rtt = 800e6, 100 * time.Microsecond
	calm, brisk := steadyGain*rate*calmFloor.Seconds(), steadyGain*rate*briskFloor.Seconds()
	near := func(what string, got int, want float64) {
		t.Helper()
		if float64(got) < 0.9*want || float64(got) > 1.1*want {
			t.Errorf("%s: window %d, want about %.0f", what, got, want)
		}
	}
	var tn tuner
	if w := tn.wrote(time.Unix(1000, 0), rtt); w != 0 {
		t.Errorf("window %d for a request before anything came, want no news", w)
	}
	w := tuneOver(&tn, 256<<10, rate, rtt, time.Second, true)
	near("bulk alone", w, calm)
	w = tn.wrote(tn.at, rtt)
	near("at the keystroke", w, brisk)
	for range 20 {
		w = tuneOver(&tn, w, rate, rtt, 100*time.Millisecond, true)
		near("beside keystrokes", w, brisk)
		if again := tn.wrote(tn.at, rtt); again != 0 {
			t.Errorf("window %d at another keystroke, want no news", again)
		}
	}
	for range 20 { // the peer has less to say than it may: still bulk
		w = tuneOver(&tn, w, rate/2, rtt, 100*time.Millisecond, false)
		near("beside keystrokes and a slower peer", w, brisk)
		tn.wrote(tn.at, rtt)
	}
	near("after the last", tuneOver(&tn, w, rate, rtt, calmAfter+time.Second, true), calm)
	if w := tn.wrote(tn.at.Add(time.Second), rtt); w != 0 {
		t.Errorf("window %d for what was written when bulk was over, want no news", w)
	}
}

// TestTunerForgets lets a path become slower, and then faster.
func TestTunerForgets(t *testing.T) {
	var tn tuner
	rtt := 50 * time.Millisecond
	w := tuneOver(&tn, 256<<10, 50e6, rtt, 3*time.Second, true)
	slow := tuneOver(&tn, w, 10e6, rtt, 3*time.Second, true)
	if want := steadyGain * 10e6 * rtt.Seconds(); float64(slow) > 1.1*want {
		t.Errorf("window %d on a path that has become slower, want %.0f", slow, want)
	}
	fast := tuneOver(&tn, slow, 50e6, rtt, 3*time.Second, true)
	if fast < w*9/10 {
		t.Errorf("window %d on a path that is fast again, it was %d before", fast, w)
	}
}

// TestTunerIgnoresThePeersSilence has a peer that says less than it may.
func TestTunerIgnoresThePeersSilence(t *testing.T) {
	var tn tuner
	rtt := 50 * time.Millisecond
	w := tuneOver(&tn, 256<<10, 50e6, rtt, 3*time.Second, true)
	if got := tuneOver(&tn, w, 1e6, rtt, 3*time.Second, false); got != w {
		t.Errorf("window %d after little was said, want it unchanged at %d", got, w)
	}
}

// TestTunerKeepsTheFirstWindow: a few bytes tell nothing about the path.
func TestTunerKeepsTheFirstWindow(t *testing.T) {
	var tn tuner
	if got := tuneOver(&tn, 256<<10, 1e3, 50*time.Millisecond, time.Second, false); got != 256<<10 {
		t.Errorf("window %d after a few bytes, want it unchanged", got)
	}
}

// TestTunerSeesWhatStopsThePeer: data that ends at a limit, and data that goes past it.
func TestTunerSeesWhatStopsThePeer(t *testing.T) {
	var tn tuner
	tn.tell(1000)
	tn.tell(1000)
	tn.tell(2000)
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		received uint64
		limited  bool
		left     int
	}{{999, false, 2}, {1001, false, 1}, {2000, true, 0}} {
		if tn.data(c.received, now, 0, 1); tn.limited != c.limited || len(tn.told) != c.left {
			t.Errorf("received %d: limited %v with %d limits to come, want %v with %d", c.received, tn.limited, len(tn.told), c.limited, c.left)
		}
	}
	for n := range uint64(1000) {
		tn.tell(3000 + n)
	}
	if len(tn.told) > 64 {
		t.Errorf("%d limits kept", len(tn.told))
	}
}

func TestAckEvery(t *testing.T) {
	for _, c := range []struct {
		window int
		best   float64
		want   uint64
	}{
		{256 << 10, 0, 16 << 10},
		{256 << 10, 60e6, 60e3},
		{256 << 10, 500e6, 128 << 10},
		{16 << 20, 125e6, 1 << 20},
		{4, 0, 0},
	} {
		tn := tuner{best: c.best}
		if got := tn.ackEvery(c.window); got != c.want {
			t.Errorf("window %d at %.0f bytes a second: every %d bytes, want %d", c.window, c.best, got, c.want)
		}
	}
}

// TestAckGoesByWhatWasTold lets the window grow before the peer hears of it: half of what the peer knows is enough for an ACK.
func TestAckGoesByWhatWasTold(t *testing.T) {
	l, att := attachedLink(t)
	for message(l) != nil { // what is said at the start
	}
	told := l.limitSent
	l.mu.Lock()
	l.window, l.tune.best = l.windowMax, 1e9
	l.mu.Unlock()
	offset, step := uint64(0), told/8
	for message(l) == nil {
		if offset == told {
			t.Fatalf("no ACK when the peer has come to its limit of %d bytes", told)
		}
		msg := append(appendDataHeader(nil, offset), make([]byte, step)...)
		if _, err := l.take(att, msg); err != nil {
			t.Fatal(err)
		}
		offset += step
	}
	if offset != told/2 {
		t.Errorf("ACK after %d of %d bytes, want half", offset, told)
	}
}
