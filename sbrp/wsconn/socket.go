package wsconn

import (
	"net"
	"sync"
	"time"
)

// socket is the lowest layer: a network connection that can gather several writes into one (for TLS, which writes each
// record by itself) and that can write without waiting for the peer.
//
// Exactly one goroutine at a time owns the right to write ("busy"). While the socket is corked, the writes of others (TLS
// may write by itself, for a key update or an alert) are appended to what the owner will write, so that bytes leave in
// the order in which they came.
type socket struct {
	net.Conn
	try *tryWriter // nil: this connection cannot write without blocking
	raw *rawReader // nil: the connection itself reads

	mu     sync.Mutex
	idle   sync.Cond // signalled when busy or corked changes
	busy   bool      // somebody owns the fields below "owner"
	corked bool      // Write appends to gathered
	// gathered belongs to mu.
	gathered *buffer

	// Owned by whoever set busy.
	timeout  time.Duration // of one write; 0 means none has been set yet
	deadline time.Time     // the last that was set
	rest     *buffer       // accepted by a non-blocking write, not yet written
	written  int           // bytes of rest that have been written
}

func newSocket(conn net.Conn) *socket {
	if s, ok := conn.(*socket); ok {
		return s
	}
	s := &socket{Conn: conn, try: newTryWriter(conn), raw: newRawReader(conn)}
	s.idle.L = &s.mu
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Go's default, said once more because a keystroke's delay depends on it.
		_ = tcp.SetNoDelay(true) // a socket that is gone says so at the first write
	}
	return s
}

// Read implements net.Conn. One goroutine at a time.
func (s *socket) Read(p []byte) (int, error) {
	if s.raw == nil {
		return s.Conn.Read(p)
	}
	return s.raw.read(p)
}

// setTimeout sets how long one write may take.
func (s *socket) setTimeout(d time.Duration) {
	s.acquire(false)
	s.timeout, s.deadline = d, time.Time{}
	s.release()
}

// acquire waits until nobody writes and becomes the owner.
func (s *socket) acquire(cork bool) {
	s.mu.Lock()
	for s.busy {
		s.idle.Wait()
	}
	s.busy, s.corked = true, cork
	if cork {
		s.idle.Broadcast() // who waits in Write may append now
	}
	s.mu.Unlock()
}

func (s *socket) release() {
	s.mu.Lock()
	s.busy = false
	s.idle.Broadcast()
	s.mu.Unlock()
}

// Write is for TLS, for net/http and for the WebSocket library's own frames. It blocks, at most for the timeout.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	for {
		if s.corked {
			if s.gathered == nil {
				s.gathered = borrow()
			}
			s.gathered.b = append(s.gathered.b, p...)
			s.mu.Unlock()
			return len(p), nil
		}
		if !s.busy {
			break
		}
		s.idle.Wait()
	}
	s.busy = true
	s.mu.Unlock()
	defer s.release()
	if err := s.flushRest(); err != nil {
		return 0, err
	}
	s.arm()
	return s.Conn.Write(p)
}

// send writes p in one piece. With try it does not wait for the peer: what the system does not take is kept, and pending
// reports that flush must be called.
func (s *socket) send(p []byte, try bool) (pending bool, err error) {
	s.acquire(false)
	defer s.release()
	return s.put(p, try)
}

// sendTwo is send for a message in two pieces, without joining them where the system can.
func (s *socket) sendTwo(a, b []byte, try bool) (pending bool, err error) {
	s.acquire(false)
	defer s.release()
	return s.putTwo(a, b, try)
}

// cork begins to gather; uncork writes what was gathered.
func (s *socket) cork() { s.acquire(true) }

func (s *socket) uncork(try bool) (pending bool, err error) {
	defer s.release()
	for {
		s.mu.Lock()
		g := s.gathered
		s.gathered = nil
		if g == nil {
			s.corked = false
			s.mu.Unlock()
			return pending, err
		}
		s.mu.Unlock()
		if err == nil {
			pending, err = s.put(g.b, try)
		}
		giveBack(g)
	}
}

// flush writes what a non-blocking write has left. It blocks, at most for the timeout.
func (s *socket) flush() error {
	s.acquire(false)
	defer s.release()
	return s.flushRest()
}

// ready reports whether a non-blocking write may be tried: it can be here, nobody is writing, and nothing is left over
// from the last one (as much of that as possible is written first).
func (s *socket) ready() bool {
	if s.try == nil {
		return false
	}
	s.mu.Lock()
	if s.busy {
		s.mu.Unlock()
		return false
	}
	s.busy = true
	s.mu.Unlock()
	defer s.release()
	if s.rest == nil {
		return true
	}
	s.arm()
	n, err := s.try.write(s.rest.b[s.written:])
	s.took(n)
	return err == nil && s.rest == nil
}

// put writes p. The caller owns the socket.
func (s *socket) put(p []byte, try bool) (pending bool, err error) {
	if !try || s.try == nil {
		if err := s.flushRest(); err != nil {
			return false, err
		}
		s.arm()
		_, err := s.Conn.Write(p)
		return false, err
	}
	if s.rest == nil {
		s.arm()
		n, err := s.try.write(p)
		if err != nil {
			return false, err
		}
		p = p[n:]
	}
	s.keep(p)
	return s.rest != nil, nil
}

// putTwo is put for a message in two pieces.
func (s *socket) putTwo(a, b []byte, try bool) (pending bool, err error) {
	if s.try == nil {
		g := borrow()
		defer giveBack(g)
		g.b = append(append(g.b, a...), b...)
		return s.put(g.b, try)
	}
	if !try {
		if err := s.flushRest(); err != nil {
			return false, err
		}
	}
	if s.rest == nil {
		s.arm()
		n, err := s.try.writeTwo(a, b)
		if err != nil {
			return false, err
		}
		k := min(n, len(a))
		a, b = a[k:], b[n-k:]
	}
	if !try {
		return false, s.finish(a, b)
	}
	s.keep(a)
	s.keep(b)
	return s.rest != nil, nil
}

// finish blocks until both pieces are written. The caller owns the socket.
func (s *socket) finish(a, b []byte) error {
	for _, p := range [...][]byte{a, b} {
		if len(p) == 0 {
			continue
		}
		if _, err := s.Conn.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// keep appends p to what is left to write.
func (s *socket) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	if s.rest == nil {
		s.rest, s.written = borrow(), 0
	}
	s.rest.b = append(s.rest.b, p...)
}

// took notes that n more bytes of rest were written.
func (s *socket) took(n int) {
	s.written += n
	if s.rest != nil && s.written >= len(s.rest.b) {
		giveBack(s.rest)
		s.rest, s.written = nil, 0
	}
}

func (s *socket) flushRest() error {
	if s.rest == nil {
		return nil
	}
	s.arm()
	n, err := s.Conn.Write(s.rest.b[s.written:])
	s.took(n)
	return err
}

// arm moves the write deadline. It is moved when a quarter of it is used up and not at each write: a write then has
// between three quarters of the timeout and all of it.
func (s *socket) arm() {
	if s.timeout <= 0 {
		return
	}
	now := time.Now()
	if s.deadline.Sub(now) >= s.timeout/4*3 {
		return
	}
	s.deadline = now.Add(s.timeout)
	_ = s.Conn.SetWriteDeadline(s.deadline) // a closed connection says so at the write
}
