package endpoint

import (
	"testing"
	"time"
)

func TestLivenessCheck(t *testing.T) {
	l := liveness{pingInterval: 15 * time.Second, deadAfter: 30 * time.Second, stallAfter: 5 * time.Second, stallGrace: 4 * time.Second}
	t0 := time.Unix(1_000_000, 0)
	// Seconds since t0; 0 stands for t0, negative for "not".
	type at struct{ heard, reading, write, ping, probed float64 }
	moment := func(s float64) time.Time {
		if s < 0 {
			return time.Time{}
		}
		return t0.Add(time.Duration(s * float64(time.Second)))
	}
	const no = -1
	tests := []struct {
		name  string
		now   float64
		p     at
		doubt bool
		ping  bool
		probe bool
		dead  bool
		next  float64
	}{
		{"fresh", 0, at{0, 0, no, no, no}, false, false, false, false, 15},
		{"idle before the ping", 14, at{0, 0, no, no, no}, false, false, false, false, 1},
		{"idle at the ping", 15, at{0, 0, no, no, no}, false, true, false, false, 15},
		{"pong came", 16, at{15.1, 15.1, no, 15, no}, false, false, false, false, 14},
		{"no pong, still quiet", 29, at{0, 0, no, 15, no}, false, false, false, false, 1},
		{"idle and silent for too long", 30, at{0, 0, no, 15, no}, false, false, false, true, 0},
		{"write, waiting", 4, at{1, 1, 2, no, no}, false, false, false, false, 3},
		{"write, silent for 5 s", 7, at{1, 1, 2, no, no}, false, true, true, false, 4},
		{"probed, waiting", 10, at{1, 1, 2, 7, 7}, false, false, false, false, 1},
		{"probed, silent for 4 s", 11, at{1, 1, 2, 7, 7}, false, false, false, true, 0},
		{"probed, answered", 11, at{8, 8, no, 7, 7}, false, false, false, false, 11},
		{"probed, answered, and silent again after a write", 14, at{8, 8, 9, 7, 7}, false, true, true, false, 4},
		{"the ping within the rules does not count as a write", 20, at{0, 0, no, 15, no}, false, false, false, false, 10},
		{"doubt", 3, at{0, 0, no, no, no}, true, true, true, false, 4},
		{"doubt while probed", 4, at{0, 0, no, 3, 3}, true, false, false, false, 3},

		// Nobody reads: the silence is ours.
		{"nobody reads", 29, at{0, no, no, 16, no}, false, false, false, false, 2},
		{"nobody reads for an hour: ping, no verdict", 3600, at{0, no, no, 3580, no}, false, true, false, false, 5},
		{"nobody reads, write waits", 20, at{0, no, 2, 10, no}, false, false, false, false, 5},
		{"nobody reads just now, doubt", 3, at{2, no, no, no, no}, true, true, true, false, 4},
		{"read again since, still silent", 7, at{2, 3.1, no, 3, 3}, false, false, false, false, 0.1},
		{"nobody reads, probed long ago", 20, at{0, no, 2, 10, 7}, false, false, false, false, 5},
		{"reads again after an hour", 3600, at{0, 3600, 2, 3590, no}, false, false, false, false, 5},
		{"reads again, write waits for 5 s of reading", 3605, at{0, 3600, 2, 3600, no}, false, true, true, false, 4},
		{"reads again, probed before: gets the whole grace", 3603, at{0, 3600, 2, 3600, 7}, false, false, false, false, 1},
		{"reads again, still silent", 3604, at{0, 3600, 2, 3600, 7}, false, false, false, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := l.check(moment(tt.now), pulse{
				opened: t0, heard: moment(tt.p.heard), readingSince: moment(tt.p.reading),
				firstWrite: moment(tt.p.write), lastPing: moment(tt.p.ping), probed: moment(tt.p.probed), probeNow: tt.doubt,
			})
			if v.ping != tt.ping || v.probe != tt.probe || v.dead != tt.dead {
				t.Errorf("check = ping %v, probe %v, dead %v (%s), want %v, %v, %v", v.ping, v.probe, v.dead, v.why, tt.ping, tt.probe, tt.dead)
			}
			if want := time.Duration(tt.next * float64(time.Second)); !v.dead && v.next != want {
				t.Errorf("next check in %v, want %v", v.next, want)
			}
			if v.dead != (v.why != "") {
				t.Errorf("dead %v with the reason %q", v.dead, v.why)
			}
		})
	}
}

// Whatever happens on the way, a path that goes dead while data waits is noticed
// within 10 s, and one that is idle within 30 s, of somebody reading.
func TestLivenessBounds(t *testing.T) {
	l := liveness{pingInterval: DefaultPingInterval, deadAfter: DefaultDeadAfter, stallAfter: stallAfter, stallGrace: stallGrace}
	t0 := time.Unix(1_000_000, 0)
	for lead := range 40 { // s of a healthy life before the path goes dead
		for _, writes := range []bool{false, true} {
			died := t0.Add(time.Duration(lead) * time.Second)
			p := pulse{opened: t0, heard: died, readingSince: t0}
			p.lastPing = t0.Add(time.Duration(lead/15*15) * time.Second)
			if writes {
				p.firstWrite = died
			}
			now, bound := died, 30*time.Second
			if writes {
				bound = 10 * time.Second
			}
			for {
				v := l.check(now, p)
				if v.dead {
					break
				}
				if v.ping {
					p.lastPing = now
				}
				if v.probe {
					p.probed = now
				}
				now = now.Add(v.next)
			}
			if got := now.Sub(died); got > bound {
				t.Errorf("after %d s, data waiting %v: noticed after %v, want at most %v", lead, writes, got, bound)
			}
		}
	}
}
