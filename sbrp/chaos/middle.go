package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
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

// wire is one endpoint's WebSocket, and the one to the real relay that belongs to it.
type wire struct {
	near, far *wsconn.Conn
	bearer
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

func (m *Middle) sent(b []byte) {
	m.mu.Lock()
	note := m.note
	m.mu.Unlock()
	if note != nil {
		note(b)
	}
}

// ToClient delivers a message of one's own to the client of a session; false: it is not there.
func (m *Middle) ToClient(id sbrp.SessionID, msg []byte) bool {
	return m.write(func(w *wire) bool { return w.role == sbrp.RoleClient && w.id == id }, msg)
}

// ToDaemon delivers a message of one's own to a daemon; false: it is not there.
func (m *Middle) ToDaemon(id string, msg []byte) bool {
	return m.write(func(w *wire) bool { return w.role == sbrp.RoleDaemon && w.daemon == id }, msg)
}

// Sessions returns the sessions whose clients are connected, in the order of their numbers.
func (m *Middle) Sessions() []sbrp.SessionID {
	return m.ids(func(w *wire) bool { return w.role == sbrp.RoleClient })
}

// SessionsOf is Sessions of one daemon.
func (m *Middle) SessionsOf(daemon string) []sbrp.SessionID {
	return m.ids(func(w *wire) bool { return w.role == sbrp.RoleClient && w.daemon == daemon })
}

func (m *Middle) ids(which func(*wire) bool) (ids []sbrp.SessionID) {
	for _, w := range m.those(which) {
		ids = append(ids, w.id)
	}
	slices.Sort(ids)
	return ids
}

func (m *Middle) write(which func(*wire) bool, msg []byte) bool {
	for _, w := range m.those(which) {
		if w.near.Write(msg) == nil {
			return true
		}
	}
	return false
}

func (m *Middle) those(which func(*wire) bool) (all []*wire) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.wires {
		if which(w) {
			all = append(all, w)
		}
	}
	return all
}

// Cut ends every WebSocket without a word.
func (m *Middle) Cut() { m.cut(func(*wire) bool { return true }) }

// CutClient ends the WebSocket of a session's client without a word.
func (m *Middle) CutClient(id sbrp.SessionID) {
	m.cut(func(w *wire) bool { return w.role == sbrp.RoleClient && w.id == id })
}

// CutDaemon ends a daemon's WebSocket without a word.
func (m *Middle) CutDaemon(id string) {
	m.cut(func(w *wire) bool { return w.role == sbrp.RoleDaemon && w.daemon == id })
}

func (m *Middle) cut(which func(*wire) bool) {
	for _, w := range m.those(which) {
		w.near.CloseNow()
		w.far.CloseNow()
	}
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

func (m *Middle) enter(w *wire) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wires == nil {
		m.wires = map[*wire]struct{}{}
	}
	m.wires[w] = struct{}{}
	m.wg.Add(1)
}

func (m *Middle) leave(w *wire) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.wires, w)
	m.wg.Done()
}

// upward passes what the endpoint sends, and notes it.
func (m *Middle) upward(w *wire) {
	defer w.far.CloseNow()
	buf := make([]byte, sbrp.MaxFrame+1)
	for {
		n, err := w.near.Read(buf)
		if err != nil {
			return
		}
		m.sent(buf[:n])
		if w.far.Write(buf[:n]) != nil {
			return
		}
	}
}

// downward delivers what the relay sends, as Deliver's function wants it.
func (m *Middle) downward(w *wire) {
	buf := make([]byte, sbrp.MaxFrame+1)
	for {
		n, err := w.far.Read(buf)
		if err != nil {
			return
		}
		msg := bytes.Clone(buf[:n])
		out := [][]byte{msg}
		m.mu.Lock()
		deliver := m.deliver
		m.mu.Unlock()
		if deliver != nil {
			f, _ := sbrp.ParseFrame(msg) // the real relay sends nothing else
			out = deliver(Delivery{To: w.role, Daemon: w.daemon, Client: w.id, SessionID: f.SessionID, Frame: f, Message: msg})
		}
		for _, b := range out {
			if w.near.Write(b) != nil {
				return
			}
		}
	}
}
