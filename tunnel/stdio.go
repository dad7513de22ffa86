package tunnel

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// stdioLinger is how long the input of Stdio may stay silent after the target
// has ended its side: a program that still sends to a half-closed target does
// so at once, and a person at a terminal should get the prompt back.
const stdioLinger = 500 * time.Millisecond

// Stdio carries one connection to target over in and out: the end of in ends
// the direction to the target, and the other goes on. It returns nil when the
// target has ended its side, and nothing has come from in for half a second or
// in has ended; a *StatusError when the target cannot be reached; else what
// failed first. out is closed, if it can be, as soon as the target has ended.
//
// A Read of in that blocks cannot be cancelled in general (a terminal): the
// goroutine in it ends with that Read, or with the process. If in has a
// SetReadDeadline, as pipes and sockets have, it is ended before Stdio returns.
func Stdio(ctx context.Context, o Opener, target string, in io.Reader, out io.Writer) error {
	conn, err := Start(ctx, o, target)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Reset() })
	defer stop()
	s := &stdio{conn: conn, in: in, done: make(chan struct{})}
	go s.copyIn() // waited for in stopReading; see the doc for a Read that cannot be cancelled
	err = s.copyOut(out)
	if err == nil {
		err = s.drain(ctx)
	}
	if err != nil {
		_ = conn.Reset()
		err = causeOf(ctx, err)
	} else {
		_ = conn.Close() // both directions are done
	}
	s.stopReading()
	return err
}

// stdio is one running Stdio.
type stdio struct {
	conn  *Conn
	in    io.Reader
	taken atomic.Int64  // bytes from in
	done  chan struct{} // closed when copyIn has ended
	inErr error         // why in could not be read; valid after done
}

// copyIn carries in to the target.
func (s *stdio) copyIn() {
	defer close(s.done)
	rerr, werr := copyBytes(s.conn, s.in, &s.taken)
	switch {
	case werr != nil: // copyOut meets the reason on its side
	case rerr != nil:
		s.inErr = fmt.Errorf("read input: %w", rerr)
		_ = s.conn.Reset() // the target must not take a broken input for a whole one
	default:
		_ = s.conn.CloseWrite() // copyOut meets the reason if it cannot
	}
}

// copyOut carries the target's bytes to out and closes out after them.
func (s *stdio) copyOut(out io.Writer) error {
	var n atomic.Int64
	rerr, werr := copyBytes(out, s.conn, &n)
	if werr != nil {
		return fmt.Errorf("write output: %w", werr)
	}
	if rerr != nil {
		select {
		case <-s.done:
			if s.inErr != nil {
				return s.inErr // the input broke first, and that is why
			}
		default:
		}
		return rerr
	}
	if c, ok := out.(io.Closer); ok {
		if err := c.Close(); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return nil
}

// drain waits, once the target has ended its side, until in has ended or
// nothing comes from it any more.
func (s *stdio) drain(ctx context.Context) error {
	tick := time.NewTicker(stdioLinger)
	defer tick.Stop()
	for last := s.taken.Load(); ; {
		select {
		case <-s.done:
			return nil // an input that breaks only now has nobody to tell
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now := s.taken.Load()
		if now == last {
			return nil
		}
		last = now
	}
}

// stopReading ends a Read of in, where in can do that, and waits for it.
func (s *stdio) stopReading() {
	d, ok := s.in.(interface{ SetReadDeadline(t time.Time) error })
	if !ok || d.SetReadDeadline(time.Unix(1, 0)) != nil {
		return
	}
	<-s.done
}
