package chaos

import (
	"bytes"
	"slices"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// wire is one endpoint's WebSocket, and the one to the real relay that belongs to it.
type wire struct {
	near, far *wsconn.Conn
	bearer
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
