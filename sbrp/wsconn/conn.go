package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"culvert/sbrp"
)

// DefaultWriteTimeout is how long one write to the socket may take. A full frame needs 6.5 KB/s to make it.
const DefaultWriteTimeout = 10 * time.Second

// noDone bounds no read or write: a context with a Done channel would cost the library an allocation and a callback for each
// message. Writes have a deadline on the socket instead, and everything ends with CloseNow.
var noDone = context.Background()

// Conn is one WebSocket that carries SBRP frames.
//
// One goroutine may read (Next, Read). All other methods may be called by any number of goroutines. Whoever has a Conn must
// call Close or CloseNow in the end.
type Conn struct {
	ws     *websocket.Conn
	out    *outlet
	client bool

	// turn is held by whoever writes. Waiting senders on a channel are served first come, first served.
	turn   chan struct{}
	closed chan struct{} // closed by CloseNow, and by Close when it is done
	once   sync.Once
	ending atomic.Bool // Close has been called

	// Owned by the reader.
	message io.Reader // begun by Next, not yet read
}

func newConn(ws *websocket.Conn, out *outlet, client bool) *Conn {
	ws.SetReadLimit(-1) // Read is bounded by its buffer, and must see the header of a frame that is too large
	return &Conn{ws: ws, out: out, client: client, turn: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Next blocks until a message has begun to arrive. Read then reads it. It exists so that an idle connection needs no
// buffer.
func (c *Conn) Next() error {
	if c.message != nil {
		return nil
	}
	typ, r, err := c.ws.Reader(noDone)
	if err != nil {
		return readError(err)
	}
	if typ != websocket.MessageBinary {
		return ErrText
	}
	c.message = r
	return nil
}

// Read blocks for one binary message and reads it into buf, whose length must be at least sbrp.MaxFrame+1. A message that
// does not fit gives ErrTooLarge together with the bytes that did; a text message gives ErrText. Every error but these two
// means that the connection has ended: a *CloseError if the peer closed it, ErrLost if it broke, else a net.ErrClosed.
func (c *Conn) Read(buf []byte) (int, error) {
	if err := c.Next(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(buf) {
		k, err := c.message.Read(buf[n:])
		n += k
		if err == io.EOF {
			c.message = nil
			return n, nil
		}
		if err != nil {
			return n, readError(err)
		}
	}
	return n, ErrTooLarge
}

// readError translates the library's errors.
func readError(err error) error {
	if ce, ok := errors.AsType[websocket.CloseError](err); ok {
		return fmt.Errorf("read message: %w", &CloseError{Code: StatusCode(ce.Code), Reason: ce.Reason})
	}
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("read message: %w", net.ErrClosed)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // nobody may take a WebSocket without a close frame for a proper end
	}
	return fmt.Errorf("read message: %w: %w", ErrLost, err)
}

// Write sends frame as one message with one write to the socket and returns when the system has taken it. Writers are served
// in the order in which they came. A write that takes longer than the write timeout, or fails in another way, ends the
// connection. frame is neither changed nor kept.
func (c *Conn) Write(frame []byte) error {
	if len(frame) > sbrp.MaxFrame {
		return fmt.Errorf("write message of %d bytes: %w (%d)", len(frame), ErrTooLarge, sbrp.MaxFrame)
	}
	if err := c.takeTurn(); err != nil {
		return err
	}
	defer c.leaveTurn()
	_, err := c.put(frame, false)
	return err
}

// Outcome is what became of a TryWrite.
type Outcome uint8

// The outcomes.
const (
	Written Outcome = iota // the system has the whole message
	Begun                  // the message is on its way, but a part is in this Conn's memory: call Flush
	Refused                // nothing was taken: the peer does not read fast enough, or this platform cannot try. Use Write
)

// TryWrite is Write that never waits for the peer. After Begun or Refused the caller calls Flush or Write, which do wait, in
// a goroutine that may.
func (c *Conn) TryWrite(frame []byte) (Outcome, error) {
	if len(frame) > sbrp.MaxFrame {
		return Refused, fmt.Errorf("write message of %d bytes: %w (%d)", len(frame), ErrTooLarge, sbrp.MaxFrame)
	}
	select {
	case c.turn <- struct{}{}:
	default:
		return Refused, nil
	}
	defer c.leaveTurn()
	if !c.out.ready() {
		return Refused, nil
	}
	pending, err := c.put(frame, true)
	if err != nil {
		return Refused, err
	}
	if pending {
		return Begun, nil
	}
	return Written, nil
}

// Flush writes what TryWrite has left. It blocks, at most for the write timeout.
func (c *Conn) Flush() error {
	if err := c.takeTurn(); err != nil {
		return err
	}
	defer c.leaveTurn()
	if err := c.out.flush(); err != nil {
		return writeError(err)
	}
	return nil
}

func (c *Conn) takeTurn() error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-c.closed:
		return fmt.Errorf("write message: %w", net.ErrClosed)
	}
}

func (c *Conn) leaveTurn() { <-c.turn }

// put writes one message; the caller has the turn.
func (c *Conn) put(frame []byte, try bool) (pending bool, err error) {
	c.out.begin(headerSize(len(frame), c.client)+len(frame), try)
	err = c.ws.Write(noDone, websocket.MessageBinary, frame)
	pending, err2 := c.out.end()
	if err == nil {
		err = err2
	}
	if err != nil {
		c.CloseNow()
		return false, writeError(err)
	}
	return pending, nil
}

// writeError makes every failed write a net.ErrClosed, since it has ended the connection; a timeout stays a timeout.
func writeError(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("write message: %w", net.ErrClosed)
	}
	return fmt.Errorf("write message: %w: %w", ErrLost, err)
}

// headerSize returns the size of a WebSocket frame's header (RFC 6455, section 5.2).
func headerSize(payload int, client bool) int {
	n := 2
	switch {
	case payload > 0xFFFF:
		n += 8
	case payload > 125:
		n += 2
	}
	if client {
		n += 4 // the mask
	}
	return n
}

// LastReceive returns when the last bytes came from the peer, of whatever kind (WebSocket pongs as well), or when the
// connection was made.
func (c *Conn) LastReceive() time.Time { return c.out.lastReceive() }

// PingWS sends a WebSocket ping, as soon as the message that is being written is out, and does not wait for the answer:
// LastReceive shows it, if somebody is reading. Does not block where TryWrite works.
func (c *Conn) PingWS() { c.out.setPing() }

// RemoteAddr returns the peer's address, or a proxy's.
func (c *Conn) RemoteAddr() net.Addr { return c.out.RemoteAddr() }
