package endpoint

import (
	"errors"
	"fmt"

	"culvert/sbrp"
)

// Receive blocks for the next message, opens it and returns it as a part of
// buf, whose length must be at least the sum of what Overhead returns. One
// receiver at a time. It returns an error once the session is over (see Err);
// a session that the other side ended first gives what came before the end.
//
// At a client this is where the WebSocket is read: no goroutine is in between,
// and Control frames and Pings are seen only while somebody receives. Liveness
// knows that: it judges the relay's silence only while Receive runs.
func (s *Session) Receive(buf []byte) ([]byte, error) {
	if len(buf) < sbrp.MaxFrame {
		panic(fmt.Sprintf("endpoint: Receive into %d bytes, need %d", len(buf), sbrp.MaxFrame))
	}
	if s.role == sbrp.RoleDaemon {
		return s.receiveQueued(buf)
	}
	return s.receiveWire(buf)
}

// receiveQueued is Receive at the daemon: frames come from the reader of the
// shared WebSocket. The cipher is the copy from the queue's buffer.
func (s *Session) receiveQueued(buf []byte) ([]byte, error) {
	for {
		f, ok := s.queue.pop()
		if !ok {
			return nil, s.closedErr()
		}
		plain, drop, err := s.open(buf[:0], f.payload())
		s.dm.queued.Add(-int64(f.held()))
		f.release()
		if drop {
			continue
		}
		return plain, err
	}
}

// receiveWire is Receive at the client.
func (s *Session) receiveWire(buf []byte) ([]byte, error) {
	s.mu.Lock()
	u, over := s.link, s.err
	s.mu.Unlock()
	if over != nil {
		return nil, over
	}
	// One byte more than the longest frame shows a message that is too long.
	room, copied := buf[:min(cap(buf), sbrp.MaxFrame+1)], false
	if len(room) <= sbrp.MaxFrame {
		if s.scratch == nil {
			s.scratch = make([]byte, sbrp.MaxFrame+1)
		}
		room, copied = s.scratch, true
	}
	for {
		n, err := u.read(room)
		if err != nil {
			u.fail(fmt.Errorf("read from relay: %w", err))
			return nil, s.closedErr()
		}
		f, err := parseAtClient(room[:n])
		if err != nil {
			u.fail(fmt.Errorf("read from relay: %w", err))
			return nil, s.closedErr()
		}
		if f.Type != sbrp.FrameData {
			if s.clientFrame(u, f); s.isOver() {
				return nil, s.closedErr()
			}
			continue
		}
		if f.SessionID != s.id {
			s.stats.misdirected.Add(1)
			continue
		}
		// In place, or from the scratch buffer into the caller's.
		dst := buf[:0]
		if !copied && len(f.Payload) >= sbrp.NonceSize {
			dst = f.Payload[sbrp.NonceSize:sbrp.NonceSize]
		}
		plain, drop, err := s.open(dst, f.Payload)
		if drop {
			continue
		}
		return plain, err
	}
}

// parseAtClient is ParseEndpointFrame but for Data that is too short to be sealed: that is a matter of section 4
// (decrypt_failed), for open to refuse.
func parseAtClient(msg []byte) (sbrp.Frame, error) {
	f, err := sbrp.ParseEndpointFrame(msg)
	if e, ok := errors.AsType[*sbrp.Error](err); ok && e.Rule == sbrp.RulePayload && sbrp.FrameType(msg[0]) == sbrp.FrameData {
		return sbrp.ParseFrame(msg)
	}
	return f, err
}

// clientFrame deals with a frame that is not Data on an established client
// session.
func (s *Session) clientFrame(u *uplink, f sbrp.Frame) {
	switch f.Type {
	case sbrp.FramePing:
		if !u.out.addPong(f.Payload) {
			s.stats.pongsDropped.Add(1)
		}
	case sbrp.FramePong:
		// That something came is all that is asked of it.
	case sbrp.FrameControl:
		s.clientControl(u, f)
	default:
		// A second HandshakeAccept, or a frame that no daemon sends to a client.
		s.stats.misdirected.Add(1)
	}
}

// clientControl deals with a Control frame at the client. All of them are
// hints of the relay.
func (s *Session) clientControl(u *uplink, f sbrp.Frame) {
	code, text, err := sbrp.ParseControl(f.Payload)
	switch {
	case err != nil || !code.Known():
		s.ignoreControl(code)
		return
	case f.SessionID != 0 && f.SessionID != s.id:
		s.stats.misdirected.Add(1)
		return
	}
	ce := &sbrp.ControlError{Code: code, SessionID: f.SessionID, Text: text}
	ok := true
	switch {
	case code.Terminal():
		u.fail(ce) // the relay closes the WebSocket after it; so do we
	case code == sbrp.CodeSessionEnded:
		if s.finish(evEnded, ce) {
			u.fail(ce)
		}
	case code == sbrp.CodeSessionPaused:
		ok, _ = s.step(evPaused, nil, s.notePause)
	case code == sbrp.CodeSessionPending:
		ok, _ = s.step(evPending, nil, s.notePause)
	case code == sbrp.CodeSessionResumed:
		ok, _ = s.step(evResumed, nil, s.noteResume)
	case code == sbrp.CodeRateLimited:
		s.stats.rateLimited.Add(1)
		u.limited()
	}
	if !ok {
		s.stats.staleHints.Add(1)
	}
	s.log.Debug("control frame", "code", code.String(), "session", s.id.String(), "state", s.State().String())
}

// ignoreControl notes a Control frame whose code is unknown or local: it means nothing (section 5).
func (s *Session) ignoreControl(code sbrp.Code) {
	s.stats.unknownControls.Add(1)
	s.log.Debug("ignored control frame", "code", code.String(), "session", s.id.String())
}

// isOver reports whether the session has ended.
func (s *Session) isOver() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
