package mux

import "time"

// The receiver's window is what the peer may have in flight: too little starves the path, too much fills the queues on
// the way, in which a keystroke then stands behind bulk. So it follows what the path carries, as BBR's does
// (draft-ietf-ccwg-bbr, section "Congestion window"): the rate at which bytes came lately, times the shortest round
// trip, and a quarter more, which lets it grow when the path can do better.
const (
	sampleTime = 10 * time.Millisecond  // shortest sample: on loopback scheduling rules
	briskFloor = 500 * time.Microsecond // the window takes no round trip for shorter, for the same reason
	calmFloor  = 8 * time.Millisecond   // the same while nobody waits for an answer: processes on a short path then switch less
	calmAfter  = 500 * time.Millisecond // since a small write beside bulk, until nobody does
	bulkRate   = 8e6                    // bytes a second that make a sample bulk; below, calmFloor gives no more than the least window
	bulkLasts  = 50 * time.Millisecond  // since such a sample, while bulk is said to come
	rateMemory = 10                     // samples, of which the best counts
	toldMost   = 64                     // limits remembered
	fullAfter  = 3                      // samples without growth, until the path is called full
	startGain  = 2
	steadyGain = 1.25             // more than what waits for an ACK, so that the window can grow
	ackTime    = time.Millisecond // ACKs come no faster than this, where the window allows it: each costs two wake-ups
)

// tuner finds a window's size. Only samples count in which the window was what stopped the peer: a peer that has little to
// say tells nothing about the path. Its zero value is ready; the link's mu guards it.
type tuner struct {
	from    uint64    // what had been received
	at      time.Time // when the sample began; zero: at the next data
	limited bool      // the peer has been stopped in this sample
	bulk    time.Time // end of the last sample that was bulk
	brisk   time.Time // when something small was last written beside bulk
	told    []uint64  // limits told and not reached yet

	rates [rateMemory]float64 // bytes a second
	next  int
	best  float64 // of rates

	grown float64 // best rate when it last grew by a quarter
	full  int     // samples since
}

// tell notes a limit that the peer is told. What it sends ends there exactly if that stops it.
func (t *tuner) tell(limit uint64) {
	if n := len(t.told); n > 0 && t.told[n-1] >= limit {
		return
	}
	if len(t.told) == toldMost {
		t.told = t.told[:copy(t.told, t.told[1:])] // one is missed; others will tell the same
	}
	t.told = append(t.told, limit)
}

// restart begins anew, for another carrier and so perhaps another path. The window stays what it is.
func (t *tuner) restart() { *t = tuner{told: t.told[:0], brisk: t.brisk} }

// data notes that so much has been received in all, and gives the window that the path wants; 0: no news. A peer that was not
// stopped can show that the path takes more than was thought, never that it takes less than the present window.
func (t *tuner) data(received uint64, now time.Time, minRTT time.Duration, window int) int {
	for len(t.told) > 0 && t.told[0] <= received {
		t.limited = t.limited || t.told[0] == received
		t.told = t.told[:copy(t.told, t.told[1:])]
	}
	if t.at.IsZero() {
		t.from, t.at = received, now
		return 0
	}
	took := now.Sub(t.at)
	if minRTT == 0 || took < max(minRTT, sampleTime) {
		return 0
	}
	rate := float64(received-t.from) / took.Seconds()
	if rate >= bulkRate {
		t.bulk = now
	}
	stopped := t.limited
	t.from, t.at, t.limited = received, now, false
	if !stopped && rate <= t.best {
		return 0
	}
	t.rates[t.next] = rate
	t.next = (t.next + 1) % rateMemory
	t.best = 0
	for _, r := range t.rates {
		t.best = max(t.best, r)
	}
	t.full++
	if t.best >= 1.25*t.grown {
		t.grown, t.full = t.best, 0
	}
	w := t.size(now, minRTT)
	if !stopped && w <= window {
		return 0
	}
	return w
}

// size is the window for what the path has shown.
func (t *tuner) size(now time.Time, minRTT time.Duration) int {
	gain := steadyGain
	if t.full < fullAfter {
		gain = startGain
	}
	floor := briskFloor
	if now.Sub(t.brisk) > calmAfter {
		floor = calmFloor
	}
	return max(int(gain*t.best*max(minRTT, floor).Seconds()), 1)
}

// wrote notes that something small has been written here: an answer to it, or it as an answer to what the peer wrote, shall not
// stand behind bulk. It gives the window that this wants; 0: no news.
func (t *tuner) wrote(now time.Time, minRTT time.Duration) int {
	if now.Sub(t.bulk) > bulkLasts {
		return 0 // there is nothing that it could stand behind
	}
	calm := now.Sub(t.brisk) > calmAfter
	t.brisk = now
	if !calm {
		return 0
	}
	return t.size(now, minRTT)
}

// ackEvery is how many bytes may come until they are acknowledged: a sixteenth of the window keeps the peer going, and where
// that is less than comes within ackTime, up to half.
func (t *tuner) ackEvery(window int) uint64 {
	return uint64(min(window/2, max(window/16, int(t.best*ackTime.Seconds()))))
}
