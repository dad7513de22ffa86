package wsconn

import (
	"errors"
	"fmt"
	"net"
	"time"

	"culvert/sbrp"
)

// Errors of Read, Next, Write and Accept that a caller can act on.
var (
	// ErrText: the peer sent a text message. It has not been read; the connection can still be written to, and must be closed.
	ErrText = errors.New("text message, SBRP needs binary")
	// ErrTooLarge: the message does not fit the buffer (Read) or is larger than a frame (Write). What was read is in the
	// buffer; the connection can still be written to, and must be closed.
	ErrTooLarge = errors.New("message larger than a frame")
	// ErrLost: the connection ended without a WebSocket close. It is a net.ErrClosed.
	ErrLost = fmt.Errorf("connection lost: %w", net.ErrClosed)
	// ErrNotWebSocket: a server answered, and it is not a WebSocket server at this path.
	ErrNotWebSocket = errors.New("not a WebSocket server")
	// ErrCaptivePortal: a web page came instead of the WebSocket: a captive portal, a filter or a wrong address.
	ErrCaptivePortal = errors.New("a web page came instead of the relay's answer: log in to this network (captive portal), or check the address")
)

// CloseError says that the peer closed the WebSocket. It is a net.ErrClosed.
type CloseError struct {
	Code   StatusCode
	Reason string // the peer's words, unauthenticated: a hint for people
}

// Error returns the code and the reason, quoted and cut.
func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("peer closed the WebSocket (%d)", e.Code)
	}
	return fmt.Sprintf("peer closed the WebSocket (%d): %s", e.Code, sbrp.Quote(e.Reason))
}

// Is makes a CloseError a net.ErrClosed.
func (e *CloseError) Is(target error) bool { return target == net.ErrClosed }

// Hop is the part of the way to the relay at which a dial stopped.
type Hop string

// The hops, in the order of the way.
const (
	HopURL   Hop = "url"   // the address itself is wrong; nothing was tried
	HopDNS   Hop = "dns"   // the host's name
	HopProxy Hop = "proxy" // reaching the proxy, or what it answered
	HopTCP   Hop = "tcp"   // the connection to the relay
	HopTLS   Hop = "tls"   // certificates, versions
	HopHTTP  Hop = "http"  // the answer to the WebSocket request
)

// DialError says where Dial stopped. Err holds the cause (*net.DNSError, *net.OpError, x509 and tls errors, context
// errors); neither it nor the text ever holds the token or the query of the URL.
type DialError struct {
	Hop        Hop
	Address    string        // host:port of the relay, or of the proxy
	Status     int           // HTTP status, of the relay or of the proxy; 0 if there was none
	Code       string        // the relay's error code, from its JSON answer ("unauthorized"); empty if there was none
	Message    string        // the relay's words: a hint for people
	RetryAfter time.Duration // the server's wish; 0 if there was none
	Err        error
}

// Error says what was tried and why it did not work.
func (e *DialError) Error() string {
	text := fmt.Sprintf("dial relay %s: %s", e.Address, e.Hop)
	if e.Status != 0 {
		text += fmt.Sprintf(": HTTP status %d", e.Status)
	}
	if e.Code != "" {
		text += fmt.Sprintf(" (%s)", cut(e.Code))
	}
	if e.Message != "" {
		text += ": " + sbrp.Quote(e.Message)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }
