package mux

import (
	"fmt"
	"time"
)

// next blocks for the next bytes of the stream and returns them; they alias the receive buffer and are good until the
// next call. It may return none, and no error, when the caller has been poked or a message without data came. One reader
// at a time.
func (l *link) next() ([]byte, error) {
	l.mu.Lock()
	if l.endErr != nil {
		defer l.mu.Unlock()
		return nil, l.endErr
	}
	att, attached := l.att, l.attached
	l.mu.Unlock()
	if att == nil {
		select {
		case <-attached:
		case <-l.poke:
		case <-l.done:
		}
		return nil, nil
	}
	if len(l.rbuf) < att.receive {
		l.rbuf = make([]byte, att.receive)
	}
	msg, err := att.carrier.Receive(l.rbuf)
	if err != nil {
		l.detach(att, fmt.Errorf("receive: %w", err))
		return nil, nil
	}
	data, err := l.take(att, msg)
	l.events.flush()
	return data, err
}

// take handles one message and returns the stream's bytes in it.
func (l *link) take(att *attachment, msg []byte) ([]byte, error) {
	l.mu.Lock()
	if l.endErr != nil {
		defer l.mu.Unlock()
		return nil, l.endErr
	}
	if l.att != att {
		l.mu.Unlock()
		return nil, nil // of a carrier that has been replaced: the new one brings it again
	}
	att.lastReceive = time.Now()
	l.prove(att)
	data, end := l.records(att, msg)
	if end == nil && l.closing != nil && l.buf.start == l.buf.end {
		end = l.closing
	}
	if l.sendable() {
		signal(l.kick)
	}
	l.mu.Unlock()
	if end != nil {
		l.end(end, !end.Remote)
	}
	return data, nil
}

// records handles the records of a message. It returns the data among them, and why the link shall end if it shall. mu is
// held.
func (l *link) records(att *attachment, msg []byte) (data []byte, end *LinkError) {
	breach := func(err error) *LinkError { return &LinkError{Code: CodeProtocol, Text: err.Error()} }
	for more := true; more; more = len(msg) > 0 {
		r, rest, err := parseRecord(msg)
		if err != nil {
			return nil, breach(err)
		}
		msg = rest
		switch r.typ {
		case recData:
			data, err = l.onData(att, r.offset, r.data)
		case recAck:
			err = l.onAck(att, r.received, r.limit)
		case recSync:
			err = l.onSync(att, r)
		case recProbe:
			l.onProbe(att, r)
		case recProbeAck:
			err = l.onProbeAck(att, r)
		case recClose:
			return data, &LinkError{Code: r.code, Text: string(r.data[:min(len(r.data), maxPeerText)]), Remote: true}
		default:
			// A HELLO or WELCOME that was duplicated on its way: it has been answered.
		}
		if err != nil {
			return nil, breach(err)
		}
	}
	return data, nil
}

// onData takes what is new in order; a gap asks for what is missing.
func (l *link) onData(att *attachment, offset uint64, p []byte) ([]byte, error) {
	end := offset + uint64(len(p))
	if end > l.limitSent {
		return nil, protocolError("data up to %d beyond the limit %d", end, l.limitSent)
	}
	if offset > l.received {
		l.gap(att, offset)
		return nil, nil
	}
	if end <= l.received {
		att.wantAck = len(p) > 0 // sent again for nothing: the ACK was lost
		return nil, nil
	}
	p = p[l.received-offset:]
	l.received = end
	if att.gapAt != 0 && l.received >= att.gapAt {
		att.gapAt, att.wantSync = 0, false
	}
	if w := l.tune.data(end, att.lastReceive, att.minRTT, l.window); w > 0 {
		l.setWindow(w)
	}
	// The peer goes by what it has been told: where the window has grown since, that is less.
	if l.received-l.ackSent >= min(l.tune.ackEvery(l.window), (l.limitSent-l.ackSent)/2) {
		att.wantAck = true
	} else if l.ackDue.IsZero() {
		l.ackDue = att.lastReceive.Add(ackDelay)
		l.arm(l.ackDue)
	}
	return p, nil
}

// setWindow sets the window that the peer is told next. mu is held.
func (l *link) setWindow(w int) { l.window = min(max(w, min(l.windowMin, leastWindow)), l.windowMax) }

// gap notes that something before offset is missing and has SYNC sent, at most once a round trip.
func (l *link) gap(att *attachment, offset uint64) {
	att.gapAt = max(att.gapAt, offset)
	if !att.wantSync {
		att.wantSync = true
		l.arm(att.syncAt)
	}
}

// onAck releases what the peer has.
func (l *link) onAck(att *attachment, received, limit uint64) error {
	if received > l.maxSent {
		return protocolError("acknowledged up to %d, sent up to %d", received, l.maxSent)
	}
	l.peerLimit = max(l.peerLimit, limit) // first: more may wait then
	if received > l.buf.start {
		l.acknowledge(received)
		l.progress(att)
	}
	return nil
}

// onSync goes back to what the peer is missing, once for each epoch.
func (l *link) onSync(att *attachment, r record) error {
	if r.epoch <= att.epochIn {
		return nil
	}
	att.epochIn = r.epoch
	if err := l.onAck(att, r.received, r.limit); err != nil {
		return err
	}
	l.sent = max(r.received, l.buf.start)
	return nil
}

// onProbe answers, and asks for what the peer has sent and we lack.
func (l *link) onProbe(att *attachment, r record) {
	att.wantProbeAck, att.probeAck = true, r.nonce
	if r.offset > l.received {
		l.gap(att, r.offset)
	}
}

// onProbeAck measures the round trip.
func (l *link) onProbeAck(att *attachment, r record) error {
	if err := l.onAck(att, r.received, 0); err != nil {
		return err
	}
	if !att.probing || r.nonce != att.nonce {
		return nil
	}
	att.probing = false
	att.rtt = max(att.lastReceive.Sub(att.probeAt), time.Nanosecond)
	if att.minRTT == 0 || att.rtt < att.minRTT {
		att.minRTT = att.rtt
	}
	if att.probes < firstProbes {
		att.wantProbe = true // one alone may have met a busy scheduler
	}
	l.progress(att)
	return nil
}

// acknowledge releases what the peer has received. mu is held, received is checked.
func (l *link) acknowledge(received uint64) {
	freed := l.buf.release(received, l.reserved)
	l.sent = max(l.sent, received)
	if freed > 0 {
		l.chunks.Add(int32(-freed))
		l.budget.give(freed)
	}
	l.wakeWriters()
}
