package mux

import (
	"context"
	"net"
)

// Session is the streams of one link.
type Session struct{}

func (s *Session) Open(ctx context.Context) (*Stream, error)   { return nil, net.ErrClosed }
func (s *Session) Accept(ctx context.Context) (*Stream, error) { return nil, net.ErrClosed }
func (s *Session) Peer() Peer                                  { return Peer{} }
func (s *Session) LinkID() LinkID                              { return LinkID{} }
func (s *Session) Done() <-chan struct{}                       { return nil }
func (s *Session) Err() error                                  { return nil }
func (s *Session) Close() error                                { return nil }
