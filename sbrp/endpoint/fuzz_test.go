package endpoint

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/wsconn"
)

// tape is a Wire that plays messages and swallows what is written.
type tape struct{ messages [][]byte }

func (t *tape) Read(buf []byte) (int, error) {
	if len(t.messages) == 0 {
		return 0, io.EOF
	}
	n := copy(buf, t.messages[0])
	t.messages = t.messages[1:]
	return n, nil
}
func (t *tape) Write([]byte) error              { return nil }
func (t *tape) LastReceive() time.Time          { return time.Time{} }
func (t *tape) Close(wsconn.StatusCode, string) {}
func (t *tape) CloseNow()                       {}

// cut splits data into messages: a length byte, a few of them meaning "a whole
// frame of this type for the session", then the bytes.
func cut(data []byte, id sbrp.SessionID) (out [][]byte) {
	for len(data) > 1 {
		kind, n := data[0], int(data[1])
		data = data[2:]
		n = min(n, len(data))
		body := data[:n]
		data = data[n:]
		switch kind % 9 {
		case 0:
			out = append(out, body)
		case 1:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, id, body))
		case 2:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, id, body))
		case 3:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameData, id, body))
		case 4:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameSignal, id, body))
		case 5:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FramePing, 0, body))
		case 6:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameControl, id, body))
		case 7:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameControl, 0, body))
		case 8:
			out = append(out, sbrp.AppendFrame(nil, sbrp.FrameData, id+sbrp.SessionID(kind), body))
		}
	}
	return out
}

func seedFuzz(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{6, 2, 0x10, 1, 6, 2, 0x10, 4, 6, 2, 0x10, 2, 6, 2, 0x10, 3})
	f.Add(append([]byte{3, 40}, make([]byte, 40)...))
	f.Add(append([]byte{1, 32}, make([]byte, 32)...))
	f.Add([]byte{5, 8, 1, 2, 3, 4, 5, 6, 7, 8, 7, 2, 9, 1, 0, 3, 1, 2, 3})
}

// Whatever a relay says to an established client: no panic, no plaintext.
func FuzzClientReceives(f *testing.F) {
	seedFuzz(f)
	id := e2ee.GenerateIdentity()
	f.Fuzz(func(t *testing.T, data []byte) {
		i := e2ee.NewInitiator("d-1", id.PublicKey())
		init := i.Init()
		accept, _, err := e2ee.Respond(id, "d-1", init[:], e2ee.LayoutFull)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := i.Finish(accept)
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		s := newSession(7, sbrp.RoleClient, log)
		u := newUplink(&tape{messages: cut(data, 7)}, liveness{}, 1, log)
		s.keys, s.link, s.state, s.maxPaused = keys, u, Active, time.Hour
		u.onLost = s.lost
		buf := make([]byte, sbrp.MaxFrame+1)
		if got, err := s.Receive(buf); err == nil {
			t.Errorf("received %d bytes that nobody sealed", len(got))
		}
		if s.Err() == nil {
			t.Error("the tape is over, the session is not")
		}
	})
}

// Whatever a relay says to a daemon: no panic, and nothing is left of it.
func FuzzDaemonReads(f *testing.F) {
	seedFuzz(f)
	d, err := NewDaemon(DaemonConfig{
		Identity:    e2ee.GenerateIdentity(),
		Connect:     func(context.Context) (Presence, error) { return Presence{}, io.EOF }, // never runs
		Accept:      func(*Session) {},
		MaxSessions: 2,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u := newUplink(&tape{messages: cut(data, 7)}, liveness{}, 2, d.cfg.Logger)
		i := e2ee.NewInitiator("d-1", d.cfg.Identity.PublicKey()).Init()
		d.mu.Lock()
		d.link = u
		d.mu.Unlock()
		d.shake(u, "d-1", hello{id: 7, init: i, at: time.Now()})
		inits := make(chan hello, handshakeQueue)
		d.read(u, inits)
		d.detach(u)
		for _, s := range d.snapshot() {
			d.end(s, evClose, ErrDaemonClosed, nil)
			s.retire()
		}
		d.accepts.Wait()
		if n := d.queued.Load(); n != 0 {
			t.Errorf("%d bytes counted as queued, want 0", n)
		}
	})
}

func FuzzSessionIDOf(f *testing.F) {
	b64 := base64.RawURLEncoding.EncodeToString
	f.Add("a." + b64([]byte(`{"sid":"AAAAAAAAAAc"}`)) + ".c")
	f.Add("a." + b64([]byte(`{"sid":7}`)) + ".c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := sessionIDOf(token)
		if (err == nil) != (id != 0) {
			t.Errorf("sessionIDOf(%q) = %v, %v", token, id, err)
		}
		if err != nil && len(token) > 40 && strings.Contains(err.Error(), token) {
			t.Errorf("the error repeats the token: %v", err)
		}
	})
}
