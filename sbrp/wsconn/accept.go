package wsconn

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// smallWriter is the size of the library's write buffer on a server: large enough for its largest close frame (127 bytes), small
// because each connection has one. Messages are gathered by the outlet.
const smallWriter = 160

// AcceptOptions are the options of Accept.
type AcceptOptions struct {
	WriteTimeout time.Duration // of one write; 0 means DefaultWriteTimeout
	// OnControl is called for each WebSocket ping and pong of the peer, in the goroutine that reads: no more is read before
	// it returns. Nil: nothing is.
	OnControl func()
}

// Accept upgrades a request to a WebSocket. When it returns an error, it has answered the request.
//
// The Origin header is not checked: authority comes from a token that a page must hold itself and never from a cookie, so a
// foreign page can do nothing that its owner could not do from anywhere.
//
// For one write per message under TLS, and for TryWrite, the server must listen through NewListener.
func Accept(w http.ResponseWriter, r *http.Request, o AcceptOptions) (*Conn, error) {
	timeout := o.WriteTimeout
	if timeout <= 0 {
		timeout = DefaultWriteTimeout
	}
	onControl := o.OnControl
	if onControl == nil {
		onControl = func() {}
	}
	h := &hijacker{ResponseWriter: w, timeout: timeout}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // see above
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			h.out.setPong(payload)
			onControl()
			return false
		},
		OnPongReceived: func(context.Context, []byte) { onControl() },
	})
	// The callbacks live as long as the connection: they must not keep the request, its answer and the server's buffers.
	h.ResponseWriter = nil
	if err != nil {
		return nil, fmt.Errorf("accept WebSocket: %w", err)
	}
	return newConn(ws, h.out, false), nil
}

// hijacker puts an outlet between the library and the connection.
type hijacker struct {
	http.ResponseWriter
	timeout time.Duration
	out     *outlet
}

// Hijack implements http.Hijacker. The reader is passed on, since it may hold bytes of the first message.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.out = newOutlet(conn, false, h.timeout)
	return h.out, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.out, smallWriter)), nil
}

// Unwrap is for http.ResponseController.
func (h *hijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// RequestToken returns the token of a relay connection: the Bearer token of the Authorization header, or else the token
// parameter of the query (spec section 7), for browsers, which cannot set a header. It is empty if there is none. The
// caller must not log it, nor the request's URL.
func RequestToken(r *http.Request) string {
	if auth := r.Header.Get("Authorization"); auth != "" {
		scheme, token, _ := strings.Cut(auth, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return ""
		}
		return strings.TrimSpace(token)
	}
	return r.URL.Query().Get("token")
}

// NewListener returns a listener whose connections this package can write to in one piece under TLS, and without
// waiting for the peer. Put TLS above it: tls.NewListener(wsconn.NewListener(l), config).
func NewListener(l net.Listener) net.Listener { return &listener{l} }

type listener struct{ net.Listener }

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newSocket(conn), nil
}
