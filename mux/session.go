package mux

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"strings"

	"github.com/hashicorp/yamux"
)

// Session is the streams of one link. All methods may be called concurrently.
type Session struct {
	l     *link
	f     *framer
	ys    *yamux.Session
	opens chan struct{} // slots for streams that the peer has not acknowledged: yamux would block without a context
	turn  chan struct{} // 1: stream ids reach the peer in order
	stop  func()        // blocks until what the session runs is gone; the link has ended or is ended by this
}

// starter is newSession, or what a test puts in its place to use the link itself.
type starter func(l *link, client bool, streamWindow int) (*Session, error)

// yamuxStream is what Stream needs of yamux's.
type yamuxStream interface {
	Read(p []byte) (int, error)
	Close() error
	Shrink()
	net.Conn
}

// newSession starts yamux on a link. It runs two goroutines, which end with the link; stop waits for them.
func newSession(l *link, client bool, streamWindow int) (*Session, error) {
	f := newFramer(l, client, streamWindow)
	l.mu.Lock() // the link may be listed already
	l.streams = func() int { return int(f.count.Load()) }
	l.mu.Unlock()
	cfg := yamux.DefaultConfig()
	cfg.EnableKeepAlive = false // liveness is the link's, and a held link is silent for long
	cfg.ConnectionWriteTimeout = yamuxForever
	cfg.StreamOpenTimeout = 0                          // never: a link may be held when a stream is opened
	cfg.StreamCloseTimeout = 0                         // never: Stream.Close has its own
	cfg.MaxStreamWindowSize = 2 * uint32(streamWindow) // the framer passes on half of it at most
	cfg.AcceptBacklog = acceptBacklog
	cfg.LogOutput = nil
	cfg.Logger = log.New(slogWriter{l.log}, "", 0)
	start := yamux.Server
	if client {
		start = yamux.Client
	}
	ys, err := start(f, cfg)
	if err != nil {
		return nil, err
	}
	return &Session{
		l: l, f: f, ys: ys,
		opens: make(chan struct{}, acceptBacklog), turn: make(chan struct{}, 1),
		stop: func() {
			_ = ys.Close() // closes once, waits every time: both loops have ended when it returns
			f.clear()
		},
	}, nil
}

// Open opens a stream without waiting for the peer. It blocks only while very many streams are being opened.
func (s *Session) Open(ctx context.Context) (*Stream, error) {
	select {
	case s.opens <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.l.done:
		return nil, s.l.err()
	}
	s.turn <- struct{}{} // nobody holds it for long: yamux never blocks here
	defer func() { <-s.turn }()
	if s.f.count.Load() >= maxStreams {
		<-s.opens
		return nil, errTooManyStreams
	}
	ys, err := s.ys.OpenStream()
	if err != nil {
		<-s.opens
		return nil, s.endError(err)
	}
	st := s.f.opened(ys.StreamID(), ys, s.opens)
	return st, nil
}

// Accept waits for the next stream that the peer opens.
func (s *Session) Accept(ctx context.Context) (*Stream, error) {
	for {
		ys, err := s.ys.AcceptStreamWithContext(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, s.endError(err)
		}
		if st := s.f.accepted(ys.StreamID(), ys); st != nil {
			return st, nil
		}
		// The peer has reset it already.
	}
}

// Peer is the other end.
func (s *Session) Peer() Peer { return s.l.peer }

// LinkID names the link.
func (s *Session) LinkID() LinkID { return s.l.id }

// Done is closed when the link has ended.
func (s *Session) Done() <-chan struct{} { return s.l.done }

// Err tells why the link has ended, as a *LinkError; nil while it lives.
func (s *Session) Err() error { return s.l.err() }

// Status is a snapshot of the link.
func (s *Session) Status() Status { return s.l.status() }

// Close ends the link and its streams. What was written is given a short time to arrive.
func (s *Session) Close() error {
	s.l.finish(&LinkError{Code: CodeNormal, Text: "session closed"})
	return nil
}

// endError is the link's error instead of yamux's.
func (s *Session) endError(err error) error {
	if end := s.l.err(); end != nil {
		return end
	}
	return err
}

func isTimeout(err error) bool { return errors.Is(err, yamux.ErrTimeout) }

// slogWriter brings yamux's log lines to slog. They are about frames and of use only to us.
type slogWriter struct{ log *slog.Logger }

func (w slogWriter) Write(p []byte) (int, error) {
	w.log.Debug("yamux", "text", strings.TrimSpace(string(p)))
	return len(p), nil
}
