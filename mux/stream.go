package mux

import (
	"net"
	"time"
)

// Stream is one connection inside a link: a net.Conn with half-close and reset. Reads and writes may run concurrently
// with each other and with everything else.
type Stream struct{}

func (s *Stream) Read(p []byte) (int, error)         { return 0, net.ErrClosed }
func (s *Stream) Write(p []byte) (int, error)        { return 0, net.ErrClosed }
func (s *Stream) CloseWrite() error                  { return nil }
func (s *Stream) Close() error                       { return nil }
func (s *Stream) Reset() error                       { return nil }
func (s *Stream) LocalAddr() net.Addr                { return nil }
func (s *Stream) RemoteAddr() net.Addr               { return nil }
func (s *Stream) SetDeadline(t time.Time) error      { return nil }
func (s *Stream) SetReadDeadline(t time.Time) error  { return nil }
func (s *Stream) SetWriteDeadline(t time.Time) error { return nil }

var _ net.Conn = (*Stream)(nil)
