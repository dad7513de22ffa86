package tunnel

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"culvert/mux"
)

// Serve accepts the streams of one client's session and serves each until it
// ends. It blocks until the session or ctx has ended and all that it started is
// gone; what is live then is reset. The result is never nil: the session's
// error, or ctx's cause.
func (e *Exposer) Serve(ctx context.Context, session *mux.Session) error {
	s := &serving{e: e, peer: session.Peer()}
	defer s.streams.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		stream, err := session.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		n := s.active.Add(1)
		if n > int64(e.cfg.MaxStreams+streamsAbove) {
			s.active.Add(-1)
			_ = stream.Reset() // beyond even a word
			continue
		}
		s.streams.Go(func() { s.serveStream(ctx, stream, n > int64(e.cfg.MaxStreams)) })
	}
}

// serving is one running Serve.
type serving struct {
	e       *Exposer
	peer    mux.Peer
	active  atomic.Int64
	streams sync.WaitGroup
}

// serveStream owns a stream: preface, grant, dial, answer, copy, in this order. It and carry do
// little themselves: while a connection is idle their frames are on its stack.
func (s *serving) serveStream(ctx context.Context, stream *mux.Stream, over bool) {
	defer s.active.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &live{cancel: cancel, info: StreamInfo{Client: s.peer.Key, ClientName: s.peer.Name, Since: time.Now()}}
	l.attach(stream)
	stop := context.AfterFunc(ctx, func() { l.end(EndShutdown) })
	defer stop()
	// The end of ctx at return is no shutdown: by then the stream is done.
	defer s.e.live.remove(l)
	if conn := s.request(ctx, l, stream, over); conn != nil {
		s.carry(l, stream, conn)
	}
}

// request does what the stream asks for; a connection to a target is left to be carried, anything
// else is done when it returns nil.
func (s *serving) request(ctx context.Context, l *live, stream *mux.Stream, over bool) duplex {
	_ = stream.SetReadDeadline(time.Now().Add(prefaceTimeout)) // an ended stream says so on reading
	req, err := readRequest(stream)
	if err != nil {
		if ue, ok := errors.AsType[*unsupportedError](err); ok {
			s.refuse(l, stream, answer{StatusUnsupported, ue.text}, nil)
			return nil
		}
		s.e.log.Debug("stream ended before its preface", "client", s.peer.Name, "err", err)
		_ = stream.Reset() // nothing can be answered
		return nil
	}
	_ = stream.SetReadDeadline(time.Time{})
	var named bool
	l.info.Target, l.info.Address, named = splitRef(req.target)
	if over {
		s.refuse(l, stream, answer{StatusBusy, "too many connections of this client"}, nil)
		return nil
	}
	if req.kind == KindMeasure {
		s.measure(l, stream, Measure(req.target))
		return nil
	}
	// Into the registry before the grant is asked: a revocation from now on
	// finds the stream.
	s.e.live.add(l)
	conn, err := s.e.connect(ctx, l, named)
	if err != nil {
		de, ok := errors.AsType[*dialError](err)
		if !ok {
			de = &dialError{answer: answer{status: StatusUnreachable}, err: err}
		}
		s.refuse(l, stream, de.answer, de.err)
		return nil
	}
	if req.kind == KindCheck {
		s.checked(l, stream, conn)
		return nil
	}
	return asDuplex(conn)
}

// connect asks the grant and dials. Errors are *dialError.
func (e *Exposer) connect(ctx context.Context, l *live, named bool) (net.Conn, error) {
	// The grant comes first: who may not reach a target does not learn whether
	// it exists.
	if err := e.cfg.Grants.Allowed(l.info.Client, l.info.Target); err != nil {
		a := answer{status: StatusDenied}
		if r, ok := errors.AsType[interface {
			error
			Denied() string
		}](err); ok {
			a.text = r.Denied()
		}
		return nil, &dialError{answer: a, err: err}
	}
	target, ok := e.Targets().Lookup(l.info.Target)
	if !ok {
		return nil, refuse(StatusUnknownTarget, "")
	}
	select {
	case e.dials <- struct{}{}:
		defer func() { <-e.dials }()
	default:
		return nil, refuse(StatusBusy, "too many dials under way at the daemon")
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.DialTimeout)
	defer cancel()
	return e.dialer.connect(ctx, target, l.info.Address, named)
}

// carry answers ok and copies until both directions have ended.
func (s *serving) carry(l *live, stream *mux.Stream, conn duplex) {
	if !l.attach(conn) {
		return // ended while it was dialled
	}
	err := s.answerOK(l, stream)
	if err != nil {
		_ = conn.Reset()
		_ = stream.Reset()
	} else {
		err = pipe(stream, conn, &l.in, &l.out)
	}
	s.carried(l, err)
}

func (s *serving) answerOK(l *live, stream *mux.Stream) error {
	if s.e.cfg.OnOpen != nil {
		s.e.cfg.OnOpen(l.snapshot())
	}
	if _, err := stream.Write(appendAnswer(nil, answer{status: StatusOK})); err != nil {
		return &SideError{First: true, Err: err}
	}
	return nil
}

// carried tells how a connection has ended.
func (s *serving) carried(l *live, err error) {
	end := EndDone
	if se, ok := errors.AsType[*SideError](err); ok {
		end = EndTargetReset
		if se.First {
			end = EndClientReset
		}
	}
	end = cmp.Or(l.why(), end)
	s.e.log.Debug("connection ended", "client", s.peer.Name, "target", l.info.Target, "end", string(end), "err", err)
	if s.e.cfg.OnClose != nil {
		s.e.cfg.OnClose(l.snapshot(), end)
	}
}

// checked closes the connection that a check has made and answers.
func (s *serving) checked(l *live, stream *mux.Stream, conn net.Conn) {
	rtt := time.Since(l.info.Since)
	_ = conn.Close() // it was opened to see that it opens
	if s.e.cfg.OnCheck != nil {
		s.e.cfg.OnCheck(l.snapshot(), rtt)
	}
	s.finish(stream, answer{status: StatusOK})
}

// refuse answers a request that is not ok.
func (s *serving) refuse(l *live, stream *mux.Stream, a answer, err error) {
	s.e.log.Debug("stream refused", "client", s.peer.Name, "target", l.info.Target, "status", a.status.String(), "err", err)
	if s.e.cfg.OnRefuse != nil {
		s.e.cfg.OnRefuse(l.snapshot(), a.status, err)
	}
	s.finish(stream, a)
}

// finish sends an answer after which nothing comes, and waits until the client
// has taken note: a reset could overtake the answer. What the client had sent
// is thrown away.
func (s *serving) finish(stream *mux.Stream, a answer) {
	deadline := time.Now().Add(refusalLinger)
	_ = stream.SetDeadline(deadline) // an ended stream says so on writing
	_, err := stream.Write(appendAnswer(nil, a))
	if err == nil {
		err = stream.CloseWrite()
	}
	for buf := make([]byte, 4<<10); err == nil; {
		_, err = stream.Read(buf)
	}
	_ = stream.Reset() // ended already, unless the client did not close in time
}
