package wsconn

import (
	"strings"
	"time"

	"github.com/coder/websocket"
)

// StatusCode is a WebSocket close code (RFC 6455, section 7.4).
type StatusCode int

// The close codes in use here.
const (
	StatusNormal        StatusCode = 1000
	StatusGoingAway     StatusCode = 1001 // the process ends
	StatusProtocolError StatusCode = 1002
	StatusUnsupported   StatusCode = 1003 // a text message
	StatusPolicy        StatusCode = 1008
	StatusTooBig        StatusCode = 1009
	StatusInternal      StatusCode = 1011
	StatusTryLater      StatusCode = 1013

	// StatusMoved is of the range for private use, and culvert's own: the daemon's place is at another relay, and the
	// control plane says at which. Who does not know it comes back here, which works too.
	StatusMoved StatusCode = 4307
)

// closeTimeout bounds a Close together with the write timeout: how long the peer may take to answer the close frame. Until then
// what it sends is read and thrown away; without that the system would reset the connection, and the peer would lose the
// last frames, the Control frame with the reason among them.
const closeTimeout = 2 * time.Second

// maxReason is what a close frame has room for beside its code, in bytes.
const maxReason = 123

// Close says good-bye with code and reason (cut to 123 bytes), waits for the peer's answer for at most two seconds, and
// closes the connection. It may be called while another goroutine reads or writes, and more than once.
func (c *Conn) Close(code StatusCode, reason string) {
	if c.ending.Swap(true) {
		<-c.closed
		return
	}
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	// The library's own close waits for the peer without a limit in some states; so the socket is given one. The
	// deadline of reads is enough: a write has its own.
	stop := time.AfterFunc(min(closeTimeout, c.out.timeout), func() { _ = c.out.Close() })
	defer stop.Stop()
	_ = c.ws.Close(websocket.StatusCode(code), reason) // the connection is gone either way
	_ = c.out.Close()
	c.once.Do(func() { close(c.closed) })
}

// CloseNow closes the connection without a good-bye. It may be called more than once; it unblocks Read,
// Write and Close.
func (c *Conn) CloseNow() {
	_ = c.out.Close()   // nothing to be done about an error
	_ = c.ws.CloseNow() // waits until reader and writer have left, which the line above makes them do
	c.once.Do(func() { close(c.closed) })
}

// Closed returns a channel that is closed when Close or CloseNow is done. A connection that the peer ended shows in Read.
func (c *Conn) Closed() <-chan struct{} { return c.closed }
