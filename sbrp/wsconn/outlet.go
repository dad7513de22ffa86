package wsconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// outlet is what the WebSocket library writes to. Between begin and end it gathers the pieces of one message (the library's
// client masks through 4 KiB, its server through smallWriter bytes) and passes them on as one. It also puts our own ping
// and pong frames between messages.
type outlet struct {
	net.Conn               // the socket itself, or TLS on it
	sock     *socket       // below TLS; nil if that is somebody else's connection
	timeout  time.Duration // of one write
	client   bool          // frames are masked
	lastRead atomic.Int64  // nanoseconds after start
	start    time.Time
	broken   atomic.Bool // a write failed: what followed would be garbage

	mu      sync.Mutex
	writing bool // between begin and end, or in flush: control frames wait for that end
	open    bool // pieces are gathered
	try     bool // this message must not wait for the peer
	total   int  // bytes of this message, header included
	got     int
	pieces  *buffer
	pending bool // the system has not taken everything

	control controlSlots
}

// newOutlet wraps conn, which may be TLS over a *socket, a *socket, or anything else. timeout bounds each write.
func newOutlet(conn net.Conn, client bool, timeout time.Duration) *outlet {
	o := &outlet{Conn: conn, client: client, timeout: timeout, start: time.Now()}
	switch c := conn.(type) {
	case *socket:
		o.sock = c
	case interface{ NetConn() net.Conn }: // *tls.Conn
		o.sock, _ = c.NetConn().(*socket)
	default:
		o.sock = newSocket(conn)
		o.Conn = o.sock
	}
	if o.sock != nil {
		o.sock.setTimeout(timeout)
		if client {
			// Not at the relay: what a client's socket does not take is queued there, against that client's bound.
			boundUnsent(o.sock.Conn)
		}
	}
	return o
}

// Read notes when bytes arrived.
func (o *outlet) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	if n > 0 {
		o.lastRead.Store(int64(time.Since(o.start)))
	}
	return n, err
}

func (o *outlet) lastReceive() time.Time { return o.start.Add(time.Duration(o.lastRead.Load())) }

// Close closes the socket at once. TLS gets no close_notify: it would block for a peer that does not read, and the
// WebSocket close handshake has said it before.
func (o *outlet) Close() error {
	if o.sock != nil {
		return o.sock.Conn.Close()
	}
	_ = o.Conn.SetDeadline(time.Now()) // so that TLS does not wait to say good-bye
	return o.Conn.Close()
}

// begin announces one message of total bytes. One caller at a time.
func (o *outlet) begin(total int, try bool) {
	o.mu.Lock()
	o.writing, o.open, o.try, o.total, o.got, o.pending = true, true, try, total, 0, false
	o.mu.Unlock()
}

// end passes on what is still gathered (a message whose pieces do not add up, because a close frame came between) and
// reports whether something is left for flush.
func (o *outlet) end() (pending bool, err error) {
	o.mu.Lock()
	g := o.pieces
	o.open, o.pieces = false, nil
	o.mu.Unlock()
	if g != nil {
		err = o.emit(g.b, nil)
		giveBack(g)
	}
	o.mu.Lock()
	pending, o.try, o.writing = o.pending, false, false
	o.mu.Unlock()
	o.sendControl()
	return pending, err
}

// Write takes one piece from the WebSocket library.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	if !o.open {
		o.mu.Unlock()
		return len(p), o.emit(p, nil)
	}
	o.got += len(p)
	if o.got < o.total {
		if o.pieces == nil {
			o.pieces = borrow()
		}
		o.pieces.b = append(o.pieces.b, p...)
		o.mu.Unlock()
		return len(p), nil
	}
	// The last piece. It is written from where it lies; only what came before has been copied.
	g := o.pieces
	o.open, o.pieces = false, nil
	o.mu.Unlock()
	if g == nil {
		return len(p), o.emit(p, nil)
	}
	defer giveBack(g)
	return len(p), o.emit(g.b, p)
}

// fail ends the connection after a write that went wrong: a message that is half written cannot be mended.
func (o *outlet) fail() {
	o.broken.Store(true)
	_ = o.Close() // what matters is the error of the write
}

// emit writes a and b as one. It does not wait for the peer if this message said so.
func (o *outlet) emit(a, b []byte) error {
	o.mu.Lock()
	try := o.try
	o.mu.Unlock()
	pending, err := o.pass(a, b, try)
	if err != nil {
		o.fail()
		return err
	}
	if pending {
		o.mu.Lock()
		o.pending = true
		o.mu.Unlock()
	}
	return nil
}

func (o *outlet) pass(a, b []byte, try bool) (pending bool, err error) {
	if o.broken.Load() {
		return false, net.ErrClosed
	}
	switch {
	case o.sock != nil && o.Conn == net.Conn(o.sock):
		if len(b) == 0 {
			return o.sock.send(a, try)
		}
		return o.sock.sendTwo(a, b, try)
	case o.sock != nil:
		g, unit := join(a, b)
		defer giveBack(g)
		o.sock.cork()
		_, err := o.Conn.Write(unit)
		pending, err2 := o.sock.uncork(try)
		return pending, errors.Join(err, err2)
	default:
		g, unit := join(a, b)
		defer giveBack(g)
		if o.timeout > 0 {
			_ = o.Conn.SetWriteDeadline(time.Now().Add(o.timeout)) // a closed connection says so at the write
		}
		_, err := o.Conn.Write(unit)
		return false, err
	}
}

// join returns a followed by b, and the buffer to give back if one was needed.
func join(a, b []byte) (*buffer, []byte) {
	if len(b) == 0 {
		return nil, a
	}
	g := borrow()
	g.b = append(append(g.b, a...), b...)
	return g, g.b
}

// ready reports whether a message can be tried without waiting.
func (o *outlet) ready() bool { return o.sock != nil && o.sock.ready() }

// flush writes what a tried message has left.
func (o *outlet) flush() error {
	if o.sock == nil {
		return nil
	}
	o.mu.Lock()
	o.writing = true
	o.mu.Unlock()
	err := o.sock.flush()
	if err != nil {
		o.fail()
	}
	o.mu.Lock()
	o.writing = false
	o.mu.Unlock()
	o.sendControl()
	return err
}
