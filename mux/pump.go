package mux

import (
	"fmt"
	"time"
)

// maxMessage is the largest message that a link makes, whatever a carrier would take.
const maxMessage = 65400

// minMessage is the smallest largest message that a carrier must take: HELLO and WELCOME have to fit.
const minMessage = 4 << 10

// pump sends what there is to send until the link ends.
func (l *link) pump() {
	for {
		att, m, n := l.nextMessage()
		if att == nil {
			return
		}
		l.transmit(att, m, n)
	}
}

// transmit sends a composed message. The caller has set busy, and this clears it.
func (l *link) transmit(att *attachment, m *messageBuffer, n int) {
	err := att.carrier.Send(m.b[:n])
	m.put()
	l.mu.Lock()
	l.busy = false
	more := l.endErr != nil || l.sendable()
	l.mu.Unlock()
	if err != nil {
		l.sendFailed(att, fmt.Errorf("send: %w", err))
	}
	if more {
		signal(l.kick)
	}
}

// sendFailed ends the use of a carrier that takes nothing any more. What it has received before may still say why, so the
// reader, who hears of the end too, has a moment to come to it.
func (l *link) sendFailed(att *attachment, err error) {
	l.mu.Lock()
	att.mute = true
	l.mu.Unlock()
	time.AfterFunc(closeBlocked, func() { l.detach(att, err) })
}

// sendNow sends one message, in the writer's own goroutine: it saves a keystroke the way through the pump, and bulk the
// switch between two goroutines for each message. appendData has set busy.
func (l *link) sendNow() {
	l.mu.Lock()
	att := l.att
	if l.endErr != nil || !l.sendable() {
		l.busy = false
		l.mu.Unlock()
		signal(l.kick)
		return
	}
	m := getMessage(att.head + att.max + att.tail)
	b := l.compose(att, m.b[:att.head])
	l.mu.Unlock()
	l.transmit(att, m, len(b))
}

// nextMessage waits for something to send and composes it into m.b[:n]; att is nil when the link has ended.
func (l *link) nextMessage() (att *attachment, m *messageBuffer, n int) {
	for {
		l.mu.Lock()
		switch att = l.att; {
		case l.busy:
			// A writer sends its own; it kicks when it is done and there is more.
		case l.endErr != nil && (!l.sayClose || att == nil || att.mute):
			l.sayClose = false
			old := l.detachLocked(l.endErr)
			l.mu.Unlock()
			l.closeGone(old)
			if l.farewell != nil {
				l.farewell.Stop()
			}
			return nil, nil, 0
		case l.sendable():
			l.busy = true
			m = getMessage(att.head + att.max + att.tail)
			b := l.compose(att, m.b[:att.head])
			l.mu.Unlock()
			return att, m, len(b)
		}
		l.mu.Unlock()
		<-l.kick
	}
}

// sendable tells whether compose would have something to say. mu is held.
func (l *link) sendable() bool {
	att := l.att
	if att == nil || !att.up || att.mute {
		return false
	}
	if l.sayClose || att.wantAck || att.wantProbe || att.wantProbeAck {
		return true
	}
	if l.sent < l.buf.end && l.sent < l.peerLimit {
		return true
	}
	return att.wantSync && !time.Now().Before(att.syncAt)
}

// compose appends the message to b, which has att's head in it already. mu is held.
func (l *link) compose(att *attachment, b []byte) []byte {
	start := len(b)
	if l.sayClose {
		l.sayClose = false
		return appendClose(b, l.endErr.Code, l.endErr.Text)
	}
	data := l.sent < l.buf.end && l.sent < l.peerLimit
	now := time.Now()
	switch {
	case att.wantSync && !now.Before(att.syncAt):
		att.wantSync = false
		att.epochOut++
		att.syncAt = now.Add(att.rtt*3/2 + syncInterval)
		received, limit := l.tellReceived(att)
		b = appendSync(b, att.epochOut, received, limit)
	case att.wantAck || att.wantProbeAck || (l.received != l.ackSent && (data || att.wantProbe)):
		received, limit := l.tellReceived(att)
		b = appendAck(b, received, limit)
	}
	if att.wantProbeAck {
		att.wantProbeAck = false
		b = appendProbeAck(b, att.probeAck, l.received)
	}
	if att.wantProbe || data && !att.probing && l.sent == l.buf.start && now.Sub(att.probeAt) > probeAgain {
		att.wantProbe = false
		att.probing = true
		att.nonce++
		att.probes++
		att.probeAt = now
		l.startWaitingAt(now)
		b = appendProbe(b, att.nonce, l.sent)
	}
	if !data {
		return b
	}
	room := att.max - (len(b) - start) - dataHeader
	n := min(uint64(room), l.buf.end-l.sent, l.peerLimit-l.sent)
	b = appendDataHeader(b, l.sent)
	b = l.buf.appendTo(b, l.sent, int(n))
	l.sent += n
	l.maxSent = max(l.maxSent, l.sent)
	if att.tailAt.IsZero() {
		l.armTail(att, now)
	}
	l.wakeWriters()
	return b
}

// tellReceived gives what ACK and SYNC say and notes that it was said. mu is held.
func (l *link) tellReceived(att *attachment) (received, limit uint64) {
	att.wantAck = false
	l.ackDue = time.Time{}
	l.ackSent = l.received
	l.tellLimit()
	return l.received, l.limitSent
}

// tellLimit sets the limit that the peer is about to be told: once told it holds, also when the window has shrunk since. mu
// is held.
func (l *link) tellLimit() {
	l.limitSent = max(l.limitSent, l.received+uint64(l.window))
	l.tune.tell(l.limitSent)
}
