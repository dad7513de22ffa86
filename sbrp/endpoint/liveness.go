package endpoint

import "time"

// liveness decides from timestamps alone when to ping and when a WebSocket is
// dead. It holds no clock and no timer: now comes in, so that every rule is a
// table row in the tests.
//
// A relay that neither sends anything nor reads our Ping for stallAfter and
// stallGrace together counts as dead while data waits, even if it only waits
// for somebody else: from here the two look the same, and a new connection costs
// the link above one resume.
type liveness struct {
	pingInterval time.Duration // a Ping at least this often
	deadAfter    time.Duration // silence, with nothing asked
	stallAfter   time.Duration // silence after a write, before a Ping is sent out of turn
	stallGrace   time.Duration // silence after that Ping
}

// pulse is what liveness knows of one WebSocket.
type pulse struct {
	opened time.Time // when the WebSocket was opened
	heard  time.Time // last bytes received, of whatever kind

	// readingSince is when the present call of Read began; zero when nobody
	// reads. A client's messages are pulled by the layer above: while it does
	// not pull, bytes wait in the kernel, and the silence is ours, not the
	// relay's. No verdict is given then, and the silence counts anew from the
	// next call.
	readingSince time.Time

	firstWrite time.Time // first write that nothing has been heard since; zero: none
	lastPing   time.Time // last Ping of any kind
	probed     time.Time // Ping out of turn that nothing was heard since; zero: none
	probeNow   bool      // somebody has a reason to doubt the path (network changed)
}

// verdict is what to do now, and when to look again.
type verdict struct {
	ping  bool // send a Ping
	probe bool // it is one out of turn: silence after it is death
	dead  bool
	why   string
	next  time.Duration // at most this until the next check
}

// check judges p at now.
func (l liveness) check(now time.Time, p pulse) verdict {
	v := verdict{next: l.pingInterval}
	soonest := func(t time.Time) { v.next = min(v.next, max(t.Sub(now), time.Millisecond)) }

	if due := latest(p.opened, p.lastPing).Add(l.pingInterval); !now.Before(due) {
		v.ping = true
	} else {
		soonest(due)
	}

	if p.readingSince.IsZero() {
		// Nobody reads. Look again soon, in case somebody begins to. A doubt is not
		// put off until then: whoever reads may just be busy with what it has read.
		v.next = min(v.next, l.stallAfter)
		if p.probeNow {
			v.ping, v.probe, v.next = true, true, min(v.next, l.stallGrace)
		}
		return v
	}
	silentSince := latest(p.opened, p.heard, p.readingSince)

	if dead := silentSince.Add(l.deadAfter); !now.Before(dead) {
		return verdict{dead: true, why: "nothing received for " + l.deadAfter.String()}
	} else {
		soonest(dead)
	}

	if !p.probed.IsZero() && p.heard.Before(p.probed) {
		// A reader that began after the probe gets the whole grace.
		dead := latest(p.probed, p.readingSince).Add(l.stallGrace)
		if !now.Before(dead) {
			return verdict{dead: true, why: "no answer to a ping within " + l.stallGrace.String()}
		}
		soonest(dead)
		return v
	}
	if p.probeNow {
		v.ping, v.probe = true, true
	}
	if !p.firstWrite.IsZero() {
		if ask := latest(p.firstWrite, silentSince).Add(l.stallAfter); !now.Before(ask) {
			v.ping, v.probe = true, true
		} else {
			soonest(ask)
		}
	}
	if v.probe {
		v.next = min(v.next, l.stallGrace)
	}
	return v
}

// latest returns the latest of ts.
func latest(ts ...time.Time) time.Time {
	var m time.Time
	for _, t := range ts {
		if t.After(m) {
			m = t
		}
	}
	return m
}
