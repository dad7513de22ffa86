package mux

import (
	"time"
)

// arm makes onTimer run at t or before. mu is held.
func (l *link) arm(t time.Time) {
	if l.endErr != nil || (!l.timerAt.IsZero() && !t.Before(l.timerAt)) {
		return
	}
	l.timerAt = t
	l.timer.Reset(max(time.Until(t), 0))
}

// armTail sets when to ask what has arrived of what was sent. mu is held.
func (l *link) armTail(att *attachment, now time.Time) {
	wait := min((3*att.rtt+tailDelay)<<min(att.tails, 5), probeSilence)
	att.tailAt = now.Add(wait)
	l.arm(att.tailAt)
}

// startWaiting notes that something waits for the peer, if something does. mu is held.
func (l *link) startWaiting() {
	if l.att != nil && l.att.waitingSince.IsZero() && l.buf.start < l.buf.end {
		l.startWaitingAt(time.Now())
	}
}

func (l *link) startWaitingAt(now time.Time) {
	if att := l.att; att != nil && att.waitingSince.IsZero() {
		att.waitingSince = now
		l.arm(now.Add(probeSilence))
	}
}

// progress notes that the peer has acknowledged something. mu is held.
func (l *link) progress(att *attachment) {
	att.tails = 0
	att.tailAt = time.Time{}
	if l.buf.start < l.sent {
		l.armTail(att, att.lastReceive)
	}
	if l.buf.start == l.buf.end && !att.probing {
		att.waitingSince = time.Time{}
	}
}

// onTimer does what has become due and arms the timer for what will be.
func (l *link) onTimer() {
	l.mu.Lock()
	l.timerAt = time.Time{}
	if l.endErr != nil {
		l.mu.Unlock()
		return
	}
	now := time.Now()
	if l.closing != nil && !now.Before(l.closingBy) {
		closing := l.closing
		l.mu.Unlock()
		l.end(closing, true)
		return
	}
	if l.closing != nil {
		l.arm(l.closingBy)
	}
	att := l.att
	if att == nil || !att.up {
		l.mu.Unlock()
		return
	}
	dead := l.due(att, now)
	if l.sendable() {
		signal(l.kick)
	}
	l.mu.Unlock()
	if dead {
		l.detach(att, ErrCarrierDead)
	}
}

// due does what has become due on a carrier and tells whether it is dead. mu is held.
func (l *link) due(att *attachment, now time.Time) (dead bool) {
	if !l.ackDue.IsZero() {
		if now.Before(l.ackDue) {
			l.arm(l.ackDue)
		} else {
			att.wantAck = true
		}
	}
	if att.wantSync && now.Before(att.syncAt) {
		l.arm(att.syncAt)
	}
	if att.waitingSince.IsZero() {
		idle := att.lastReceive.Add(idleProbe)
		if now.Before(idle) {
			l.arm(idle)
			return false
		}
		att.wantProbe = true
		l.startWaitingAt(now)
	}
	if !att.tailAt.IsZero() && !now.Before(att.tailAt) {
		att.tails++
		att.wantProbe = true
		l.armTail(att, now)
	} else if !att.tailAt.IsZero() {
		l.arm(att.tailAt)
	}
	silent := att.lastReceive
	if att.waitingSince.After(silent) {
		silent = att.waitingSince
	}
	if !now.Before(silent.Add(deadSilence)) {
		return true
	}
	l.arm(silent.Add(deadSilence))
	switch ask := silent.Add(probeSilence); {
	case now.Before(ask):
		l.arm(ask)
	case now.Sub(att.probeAt) >= probeSilence:
		att.wantProbe = true
	}
	return false
}

// ask has the peer say something soon, and wakes a reader that waits for a carrier.
func (l *link) ask() {
	l.mu.Lock()
	if l.att != nil {
		l.att.wantProbe = true
	}
	l.mu.Unlock()
	signal(l.kick)
	signal(l.poke)
}
