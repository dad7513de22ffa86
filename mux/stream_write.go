package mux

import (
	"errors"
	"os"
)

// Write writes p in turns with the other streams of the link. It blocks while the peer's window is full or the link keeps
// all it may, and while the carrier takes a message: this last wait no deadline cuts short, nor Close, which waits for it.
// It ends with the carrier at the latest.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	for len(p) > 0 {
		turn := s.f.l.turn()
		part, err := s.writePart(p[:min(len(p), turn)], len(p) > turn)
		n += part
		p = p[part:]
		if err != nil {
			signal(s.f.l.kick) // what waited for more goes alone
			return n, err
		}
	}
	return n, s.writeError()
}

// writePart writes one turn's worth, of which more may follow at once.
func (s *Stream) writePart(p []byte, more bool) (int, error) {
	expired := s.writeDeadline.wait()
	for {
		if err := s.writeError(); err != nil {
			return 0, err
		}
		s.f.mu.Lock()
		window := s.window
		s.f.mu.Unlock()
		if window > 0 {
			if int64(len(p)) > window {
				p, more = p[:window], false
			}
			break
		}
		signal(s.f.l.kick) // what waited for more has to go alone
		select {
		case <-s.waiter.ch:
		case <-s.aborted:
		case <-s.closing:
		case <-s.f.l.done:
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		}
	}
	err := s.f.l.reserve(s.waiter, frameHeader+len(p), s.closing, expired)
	if err == nil {
		err = s.f.writeData(s, p, more)
	}
	if err == nil {
		return len(p), nil
	}
	if own := s.writeError(); own != nil {
		return 0, own
	}
	if errors.Is(err, errCanceled) {
		return 0, os.ErrDeadlineExceeded
	}
	return 0, err
}

// writeError tells why writing is not possible, if it is not.
func (s *Stream) writeError() error {
	if err := s.ended(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return closedError("stream closed for writing")
	case <-s.f.l.done:
		return s.f.l.err()
	default:
	}
	if s.writeDeadline.expired() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite tells the peer that nothing more is written; reading goes on. It does not wait.
func (s *Stream) CloseWrite() error {
	if err := s.ended(); err != nil {
		return err
	}
	s.stopWriting()
	return nil
}

func (s *Stream) stopWriting() {
	s.endWrite.Do(func() {
		close(s.closing)
		s.writing.Lock() // a Write that was under way has given up or is complete
		defer s.writing.Unlock()
		_ = s.ys.Close() // sends FIN; fails only when the link has ended
	})
}
