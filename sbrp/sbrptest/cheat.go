package sbrptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// Delivery is one message on its way from the relay to an endpoint.
type Delivery struct {
	To        sbrp.Role      // RoleClient or RoleDaemon
	SessionID sbrp.SessionID // of the frame; zero where there is none
	Frame     sbrp.Frame
	Message   []byte // the frame's bytes; may be kept and changed
}

// Cheat stands in front of a real relay and a real control plane and makes hostile ones of them: it sees every byte
// that clients and daemons send, decides what is delivered to them in what order, delivers what nobody sent, and
// changes the control plane's answers. It has no key but those that a test gives it. All methods may be called
// concurrently.
type Cheat struct {
	URL string // what clients and daemons are told

	mu      sync.Mutex // guards what follows
	relay   *url.URL
	deliver func(Delivery) [][]byte
	answer  func(path string, status int, body []byte) (int, []byte)
	seen    bytes.Buffer
	wires   map[*wire]struct{}
	wg      sync.WaitGroup
}

// wire is one endpoint's WebSocket, and the one to the real relay that belongs to it.
type wire struct {
	near, far *wsconn.Conn
	role      sbrp.Role
	daemon    string         // id of the daemon: its own, or the one that a client is for
	id        sbrp.SessionID // a client's
}

// NewCheat listens on a loopback port until the test ends. It behaves until it is told otherwise; LeadTo comes first.
func NewCheat(t testing.TB) *Cheat {
	t.Helper()
	c := &Cheat{wires: map[*wire]struct{}{}}
	server := httptest.NewServer(c)
	c.URL = server.URL
	t.Cleanup(func() {
		c.Cut()
		server.Close()
		c.wg.Wait()
	})
	return c
}

// LeadTo names the real relay, host:port.
func (c *Cheat) LeadTo(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relay = &url.URL{Scheme: "http", Host: addr}
}

// Deliver sets what endpoints get in the place of each message: f returns the messages, any bytes at all, in order;
// none drops it. It is called from several goroutines with no lock held, and may call the Cheat's methods. nil: what
// the relay sends.
func (c *Cheat) Deliver(f func(Delivery) [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliver = f
}

// Answer sets what becomes of the control plane's answers: f gets the request's path and the true answer, and returns
// status and body. nil: the true ones.
func (c *Cheat) Answer(f func(path string, status int, body []byte) (int, []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// Saw reports whether the endpoints have sent these bytes, in any frame, request or header.
func (c *Cheat) Saw(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.seen.Bytes(), b)
}

// Seen is how many bytes the endpoints have sent.
func (c *Cheat) Seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.Len()
}

func (c *Cheat) note(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Write(b)
}

// ToClient delivers a message of the cheat's own to the client of a session; false: it is not there.
func (c *Cheat) ToClient(id sbrp.SessionID, msg []byte) bool {
	return c.write(func(w *wire) bool { return w.role == sbrp.RoleClient && w.id == id }, msg)
}

// ToDaemon delivers a message of the cheat's own to a daemon; false: it is not there.
func (c *Cheat) ToDaemon(id string, msg []byte) bool {
	return c.write(func(w *wire) bool { return w.role == sbrp.RoleDaemon && w.daemon == id }, msg)
}

// Sessions returns the sessions whose clients are connected.
func (c *Cheat) Sessions() (ids []sbrp.SessionID) {
	for _, w := range c.those(func(w *wire) bool { return w.role == sbrp.RoleClient }) {
		ids = append(ids, w.id)
	}
	return ids
}

func (c *Cheat) write(which func(*wire) bool, msg []byte) bool {
	for _, w := range c.those(which) {
		if w.near.Write(msg) == nil {
			return true
		}
	}
	return false
}

func (c *Cheat) those(which func(*wire) bool) (all []*wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.wires {
		if which(w) {
			all = append(all, w)
		}
	}
	return all
}

// Cut ends every WebSocket without a word.
func (c *Cheat) Cut() {
	for _, w := range c.those(func(*wire) bool { return true }) {
		w.near.CloseNow()
		w.far.CloseNow()
	}
}

// ServeHTTP is the hostile relay and control plane.
func (c *Cheat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	relay := c.relay
	c.mu.Unlock()
	var head bytes.Buffer
	_ = r.Header.Write(&head) // a buffer
	c.note(head.Bytes())
	if r.Header.Get("Upgrade") != "" {
		c.tunnel(w, r, relay)
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(relay)
			p.Out.Host = p.In.Host
			b, _ := io.ReadAll(p.In.Body) // what did not come, nobody sent
			c.note(b)
			p.Out.Body = io.NopCloser(bytes.NewReader(b))
		},
		ModifyResponse: func(resp *http.Response) error { return c.change(r.URL.Path, resp) },
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy.ServeHTTP(w, r)
}

// change puts a lie in the place of the control plane's answer.
func (c *Cheat) change(path string, resp *http.Response) error {
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
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
func (c *Cheat) tunnel(w http.ResponseWriter, r *http.Request, relay *url.URL) {
	token := wsconn.RequestToken(r)
	far, err := wsconn.Dial(r.Context(), relay.String(), wsconn.DialOptions{Token: token})
	if err != nil {
		status, code := http.StatusBadGateway, "internal_error"
		if de, ok := errors.AsType[*wsconn.DialError](err); ok && de.Status != 0 {
			status, code = de.Status, de.Code
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": code}) // the endpoint sees it
		return
	}
	defer far.CloseNow()
	near, err := wsconn.Accept(w, r, wsconn.AcceptOptions{})
	if err != nil {
		return // Accept has answered
	}
	defer near.CloseNow()
	role, daemon, id, _, _ := decode(token) // the real relay has checked it
	v := &wire{near: near, far: far, role: role, daemon: daemon, id: id}
	c.mu.Lock()
	c.wires[v] = struct{}{}
	c.wg.Add(1)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.wires, v)
		c.mu.Unlock()
		c.wg.Done()
	}()
	var up sync.WaitGroup
	up.Go(func() { c.upward(v) })
	c.downward(v)
	near.CloseNow()
	far.CloseNow()
	up.Wait()
}

// upward passes what the endpoint sends, and notes it.
func (c *Cheat) upward(w *wire) {
	defer w.far.CloseNow()
	buf := make([]byte, sbrp.MaxFrame+1)
	for {
		n, err := w.near.Read(buf)
		if err != nil {
			return
		}
		c.note(buf[:n])
		if w.far.Write(buf[:n]) != nil {
			return
		}
	}
}

// downward delivers what the relay sends, as the test wants it.
func (c *Cheat) downward(w *wire) {
	buf := make([]byte, sbrp.MaxFrame+1)
	for {
		n, err := w.far.Read(buf)
		if err != nil {
			return
		}
		msg := bytes.Clone(buf[:n])
		out := [][]byte{msg}
		c.mu.Lock()
		deliver := c.deliver
		c.mu.Unlock()
		if deliver != nil {
			f, _ := sbrp.ParseFrame(msg) // the real relay sends nothing else
			out = deliver(Delivery{To: w.role, SessionID: f.SessionID, Frame: f, Message: msg})
		}
		for _, m := range out {
			if w.near.Write(m) != nil {
				return
			}
		}
	}
}
