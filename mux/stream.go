package mux

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is one connection inside a link: a net.Conn with half-close and reset. All methods may be called concurrently;
// concurrent Writes are not mixed. While the link is held, reads and writes wait.
//
// Closing tells the peer that nothing more is written. If the peer has not ended its side some time later the stream is
// reset, so that a forgotten one holds nothing.
type Stream struct {
	f      *framer
	id     uint32
	ys     yamuxStream   // set before anybody sees the stream
	waiter *waiter       // signalled when the window or the room may have grown
	opens  chan struct{} // holds a slot until the stream is acknowledged; nil: it does not

	reset     atomic.Bool
	remoteFIN atomic.Bool
	closed    atomic.Bool   // Close was called
	aborted   chan struct{} // closed when the stream is reset
	closing   chan struct{} // closed by Close or CloseWrite

	direct direct

	writing       sync.Mutex // one Write at a time
	writeDeadline deadline

	// Guarded by the framer's mu.
	window      int64 // what the peer lets us send
	credit      credit
	established bool // the opening was acknowledged
	holdsOpen   bool
	localFIN    bool
	linger      *time.Timer

	endWrite sync.Once

	reading sync.Mutex // guards what follows, which decides when yamux's buffer is given back
	drained int        // bytes read since drained was last looked at
	emptied bool       // the last Read took all there was
	large   bool       // the buffer may have grown
	quiet   *time.Timer
	waiting bool // quiet runs
}

func newStream(f *framer, id uint32) *Stream {
	return &Stream{
		f: f, id: id, waiter: newWaiter(), window: initialStreamWindow, credit: newCredit(),
		aborted: make(chan struct{}), closing: make(chan struct{}),
	}
}

// releaseOpen gives back the slot of an opening that was answered. The framer's mu is held.
func (s *Stream) releaseOpen() {
	if s.holdsOpen {
		s.holdsOpen = false
		<-s.opens
	}
}

// Read reads what the peer has written. io.EOF says that the peer has ended its side, and nothing else does; ErrReset
// that the stream was reset; else the link's error that the link is over.
func (s *Stream) Read(p []byte) (int, error) {
	if err := s.ended(); err != nil {
		return 0, err
	}
	n, err := s.ys.Read(p)
	if n > 0 {
		s.direct.read(n)
		s.f.consumed(s, n)
	}
	if err == nil {
		s.shrink(n, len(p))
		return n, nil
	}
	return n, s.readError(err)
}

// WaitRead blocks until Read would not: who waits so needs no buffer meanwhile. Its errors are Read's.
//
// What comes while it blocks goes to take, if that is not nil, and not to Read: take is called with it in the goroutine that
// reads the link, must not block, and returns how much it has taken; p is only good until then. What it leaves is for Read.
// take is not called any more when WaitRead has returned. WaitRead and Read are not called at the same time.
func (s *Stream) WaitRead(take func(p []byte) int) error {
	if err := s.ended(); err != nil {
		return err
	}
	s.direct.open(take)
	_, err := s.ys.Read(nil)
	s.direct.open(nil) // not deferred: who waits has the stack of thousands of idle streams
	if err != nil {
		return s.readError(err)
	}
	return nil
}

// ended tells why neither reading nor writing is possible here any more.
func (s *Stream) ended() error {
	switch {
	case s.closed.Load():
		return closedError("stream closed")
	case s.reset.Load():
		return ErrReset
	default:
		return nil
	}
}

func (s *Stream) readError(err error) error {
	if own := s.ended(); own != nil {
		return own
	}
	if errors.Is(err, io.EOF) && s.remoteFIN.Load() {
		return io.EOF
	}
	if isTimeout(err) {
		return os.ErrDeadlineExceeded
	}
	if end := s.f.l.err(); end != nil {
		return end
	}
	return ErrReset
}

// yamux's buffer of a stream only grows. It is given back when the stream has become quiet, and not before: bulk would
// have it allocated again at once, and pays more for fresh pages than for its cipher.
const (
	shrinkAfter = 256 << 10 // bytes read that make it worth the while
	quietTime   = time.Second
	quietBytes  = 64 << 10 // so much in quietTime is not quiet
)

// shrink notes a Read of n bytes where so many were asked for.
func (s *Stream) shrink(n, asked int) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.drained += n
	s.emptied = n < asked
	s.large = s.large || s.drained >= shrinkAfter
	if !s.large || !s.emptied || s.waiting {
		return
	}
	s.waiting, s.drained = true, 0
	if s.quiet == nil {
		s.quiet = time.AfterFunc(quietTime, s.onQuiet)
	} else {
		s.quiet.Reset(quietTime)
	}
}

// onQuiet gives the buffer back if nothing much has been read for quietTime. If something is left in it the next Read that
// empties it starts anew.
func (s *Stream) onQuiet() {
	s.reading.Lock()
	defer s.reading.Unlock()
	busy := s.drained >= quietBytes
	s.drained = 0
	if busy {
		s.quiet.Reset(quietTime)
		return
	}
	s.waiting = false
	if s.emptied {
		s.large = false
		s.ys.Shrink()
	}
}

// Close ends both directions. What was written still reaches the peer.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return closedError("stream closed")
	}
	s.stopWriting()
	_ = s.ys.SetReadDeadline(longAgo) // unblocks Read; yamux never fails here
	s.f.mu.Lock()
	if s.f.streams[s.id] == s {
		s.linger = time.AfterFunc(streamLinger, func() { s.f.resetStream(s) })
	}
	s.f.mu.Unlock()
	return nil
}

// Reset ends the stream at once on both sides: the peer's Read and Write give ErrReset, and what was not read yet is lost.
func (s *Stream) Reset() error {
	s.f.resetStream(s)
	_ = s.ys.SetReadDeadline(longAgo)
	return nil
}

var longAgo = time.Unix(1, 0)

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline bounds the current and all later Reads; the zero time means for ever.
func (s *Stream) SetReadDeadline(t time.Time) error {
	if err := s.ended(); err != nil {
		return err
	}
	err := s.ys.SetReadDeadline(t)
	if s.ended() != nil {
		_ = s.ys.SetReadDeadline(longAgo) // Close or Reset came in between
	}
	return err
}

// SetWriteDeadline bounds the current and all later Writes, but for what they wait for the carrier; the zero time means for
// ever.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writeDeadline.set(t)
	return s.ended()
}

// LocalAddr names the link and the stream.
func (s *Stream) LocalAddr() net.Addr { return addr(s.f.l.id.String() + "/" + strconv.Itoa(int(s.id))) }

// RemoteAddr is LocalAddr: both ends are the same stream.
func (s *Stream) RemoteAddr() net.Addr { return s.LocalAddr() }

type addr string

func (a addr) Network() string { return "culvert" }
func (a addr) String() string  { return string(a) }

var _ net.Conn = (*Stream)(nil)
