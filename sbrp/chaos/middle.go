package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// Delivery is one message on its way from the relay to an endpoint.
type Delivery struct {
	To        sbrp.Role      // RoleClient or RoleDaemon
	Daemon    string         // the daemon that it goes to, or that the client is for
	Client    sbrp.SessionID // the session of the client that it goes to; zero: it goes to a daemon
	SessionID sbrp.SessionID // of the frame; zero where there is none
	Frame     sbrp.Frame
	Message   []byte // the frame's bytes; may be kept and changed
}

// Middle stands in front of a real relay and a real control plane and makes hostile ones of them: it sees every byte
// that clients and daemons send, decides what is delivered to them in what order, delivers what nobody sent, and
// changes the control plane's answers. It has no key but those that it is given. It is an http.Handler that behaves until
// it is told otherwise; LeadTo comes first, and whoever has served it calls Close in the end. All methods may be called
// concurrently.
type Middle struct {
	mu      sync.Mutex // guards what follows
	relay   *url.URL
	deliver func(Delivery) [][]byte
	answer  func(path string, status int, body []byte) (int, []byte)
	note    func([]byte)
	instead func(w http.ResponseWriter, r *http.Request) bool
	wires   map[*wire]struct{}
	wg      sync.WaitGroup
}

// LeadTo names the real relay, host:port.
func (m *Middle) LeadTo(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.relay = &url.URL{Scheme: "http", Host: addr}
}

// Deliver sets what endpoints get in the place of each message: f returns the messages, any bytes at all, in order;
// none drops it. It is called from several goroutines with no lock held, and may call the Middle's methods. nil: what
// the relay sends.
func (m *Middle) Deliver(f func(Delivery) [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deliver = f
}

// Answer sets what becomes of the control plane's answers: f gets the request's path and the true answer, and returns
// status and body. nil: the true ones.
func (m *Middle) Answer(f func(path string, status int, body []byte) (int, []byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = f
}

// Instead sets who answers requests for a WebSocket in the relay's place: f reports whether it has. nil: nobody.
func (m *Middle) Instead(f func(w http.ResponseWriter, r *http.Request) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instead = f
}

// Note sets what is told of all that endpoints send: headers and bodies of requests, and messages. f must not keep the
// bytes. nil: nothing.
func (m *Middle) Note(f func(sent []byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note = f
}

// Close cuts every WebSocket and waits until each is gone. The server that serves the Middle takes no new ones any more.
func (m *Middle) Close() {
	m.Cut()
	m.wg.Wait()
}

// ServeHTTP is the hostile relay and control plane.
func (m *Middle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	relay, instead := m.relay, m.instead
	m.mu.Unlock()
	var head bytes.Buffer
	_ = r.Header.Write(&head) // a buffer
	m.sent(head.Bytes())
	if r.Header.Get("Upgrade") != "" {
		if instead == nil || !instead(w, r) {
			m.tunnel(w, r, relay)
		}
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(relay)
			p.Out.Host = p.In.Host
			b, _ := io.ReadAll(p.In.Body) // what did not come, nobody sent
			m.sent(b)
			p.Out.Body = io.NopCloser(bytes.NewReader(b))
		},
		ModifyResponse: func(resp *http.Response) error { return m.change(r.URL.Path, resp) },
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy.ServeHTTP(w, r)
}

// change puts a lie in the place of the control plane's answer.
func (m *Middle) change(path string, resp *http.Response) error {
	m.mu.Lock()
	answer := m.answer
	m.mu.Unlock()
	if answer == nil {
		return nil
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.StatusCode, b = answer(path, resp.StatusCode, b)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	resp.Header.Del("Content-Length")
	return nil
}

// tunnel joins an endpoint's WebSocket to one of its own at the real relay.
func (m *Middle) tunnel(w http.ResponseWriter, r *http.Request, relay *url.URL) {
	token := wsconn.RequestToken(r)
	far, err := wsconn.Dial(r.Context(), relay.String(), wsconn.DialOptions{Token: token})
	if err != nil {
		refuse(w, err)
		return
	}
	defer far.CloseNow()
	near, err := wsconn.Accept(w, r, wsconn.AcceptOptions{})
	if err != nil {
		return // Accept has answered
	}
	defer near.CloseNow()
	v := &wire{near: near, far: far, bearer: bearerOf(token)}
	m.enter(v)
	defer m.leave(v)
	var up sync.WaitGroup
	up.Go(func() { m.upward(v) })
	m.downward(v)
	near.CloseNow()
	far.CloseNow()
	up.Wait()
}

// refuse passes the real relay's refusal on.
func refuse(w http.ResponseWriter, err error) {
	status, code := http.StatusBadGateway, "internal_error"
	if de, ok := errors.AsType[*wsconn.DialError](err); ok && de.Status != 0 {
		status, code = de.Status, de.Code
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code}) // the endpoint sees it
}
