package relay_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// frameOf makes a frame whose header says what it likes.
func frameOf(typ byte, length uint32, sid uint64, payload int) []byte {
	b := []byte{typ}
	b = binary.BigEndian.AppendUint32(b, length)
	b = binary.BigEndian.AppendUint64(b, sid)
	return append(b, make([]byte, payload)...)
}

// brokenFrame is a message that breaks a rule of spec section 2.
type brokenFrame struct {
	rule  string // of the list of rules
	name  string
	frame []byte
	code  sbrp.Code
	sid   sbrp.SessionID
}

// The rules of spec section 2, in their order: each row breaks one rule and, where it can, later ones as well. The session is 7.
var brokenFrames = []brokenFrame{
	{"2.15", "nothing", nil, sbrp.CodeMalformedFrame, 0},
	{"2.15", "header short", frameOf(0x03, 0, 7, 0)[:12], sbrp.CodeMalformedFrame, 0},
	{"2.15", "payload shorter than its length", frameOf(0x03, 41, 7, 40), sbrp.CodeMalformedFrame, 0},
	{"2.15", "payload longer than its length", frameOf(0x03, 39, 7, 40), sbrp.CodeMalformedFrame, 0},
	{"2.15", "two frames", append(frameOf(0x03, 40, 7, 40), frameOf(0x03, 40, 7, 40)...), sbrp.CodeMalformedFrame, 0},
	{"2.22", "1 before 3, 4", frameOf(0x00, 5, 0, 4), sbrp.CodeMalformedFrame, 0},
	{"2.16", "length over the limit", frameOf(0x03, 65537, 7, 65537), sbrp.CodePayloadTooLarge, 0},
	{"2.16", "from the header alone", frameOf(0x03, 65537, 7, 0), sbrp.CodePayloadTooLarge, 0},
	{"2.16", "largest length", frameOf(0x03, 1<<32-1, 7, 10), sbrp.CodePayloadTooLarge, 0},
	{"2.22", "2 before 3, 4", frameOf(0xFF, 65537, 0, 0), sbrp.CodePayloadTooLarge, 0},
	{"2.15", "message larger than any frame", frameOf(0x03, 65536, 7, 65537), sbrp.CodeMalformedFrame, 0},
	{"2.17", "type zero", frameOf(0x00, 0, 7, 0), sbrp.CodeInvalidFrameType, 0},
	{"2.17", "reserved low", frameOf(0x05, 0, 7, 0), sbrp.CodeInvalidFrameType, 0},
	{"2.17", "reserved", frameOf(0x21, 0, 7, 0), sbrp.CodeInvalidFrameType, 0},
	{"2.17", "experimental", frameOf(0x80, 0, 7, 0), sbrp.CodeInvalidFrameType, 0},
	{"2.22", "3 before 4", frameOf(0x12, 0, 0, 0), sbrp.CodeInvalidFrameType, 0},
	{"2.18", "Init with SID 0", frameOf(0x01, 32, 0, 32), sbrp.CodeInvalidSessionID, 0},
	{"2.18", "Accept with SID 0", frameOf(0x02, 128, 0, 128), sbrp.CodeInvalidSessionID, 0},
	{"2.18", "Data with SID 0", frameOf(0x03, 40, 0, 40), sbrp.CodeInvalidSessionID, 0},
	{"2.18", "Signal with SID 0", frameOf(0x04, 2, 0, 2), sbrp.CodeInvalidSessionID, 0},
	{"2.18", "Ping with a SID", frameOf(0x10, 0, 7, 0), sbrp.CodeInvalidSessionID, 0},
	{"2.18", "Pong with a SID", frameOf(0x11, 0, 7, 0), sbrp.CodeInvalidSessionID, 0},
	{"2.21", "Ping over 8 bytes", frameOf(0x10, 9, 0, 9), sbrp.CodeMalformedFrame, 0},
	{"2.19", "Control", frameOf(0x20, 2, 7, 2), sbrp.CodeDisallowedSender, 7},
	{"2.19", "Control with SID 0", frameOf(0x20, 2, 0, 2), sbrp.CodeDisallowedSender, 0},
}

// more rows for one role.
var brokenBy = map[sbrp.Role][]brokenFrame{
	sbrp.RoleClient: {
		{"2.19", "Accept", frameOf(0x02, 128, 7, 128), sbrp.CodeDisallowedSender, 7},
		{"2.19", "Signal", frameOf(0x04, 2, 7, 2), sbrp.CodeDisallowedSender, 7},
		{"2.22", "5 before 6", frameOf(0x04, 2, 8, 2), sbrp.CodeDisallowedSender, 8},
		{"2.20", "Data for another session", frameOf(0x03, 40, 8, 40), sbrp.CodeSessionNotFound, 8},
		{"2.20", "Init for another session", frameOf(0x01, 32, 8, 32), sbrp.CodeSessionNotFound, 8},
	},
	sbrp.RoleDaemon: {
		{"2.19", "Init", frameOf(0x01, 32, 7, 32), sbrp.CodeDisallowedSender, 7},
		{"2.19", "Init for no session", frameOf(0x01, 32, 99, 32), sbrp.CodeDisallowedSender, 99},
		{"2.9", "Signal of a wrong size", frameOf(0x04, 3, 7, 3), sbrp.CodeMalformedFrame, 0},
		{"2.9", "Signal that is none", append(frameOf(0x04, 2, 7, 0), 9, 0), sbrp.CodeMalformedFrame, 0},
	},
}

// sendRaw sends a message that wsconn would refuse to send.
func (e *end) sendRaw(message []byte) {
	e.t.Helper()
	if len(message) <= sbrp.MaxFrame {
		e.send(message)
		return
	}
	b := []byte{0x82, 0x80 | 127}
	b = binary.BigEndian.AppendUint64(b, uint64(len(message)))
	b = append(append(b, 0, 0, 0, 0), message...) // a mask of zeros
	if _, err := e.net.Write(b); err != nil {
		e.t.Fatal(err)
	}
}

func handshakeOutOfTurn(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	c := r.client("d", 7)
	c.sync()
	d.send(acceptFrame(7)) // nobody asked
	d.sync()
	shake(d, c, 7)
	c.send(initFrame(7)) // once more: the session goes on
	c.send(dataFrame(7, 40, 1))
	d.want(dataFrame(7, 40, 1))
	d.send(dataFrame(7, 40, 2))
	c.want(dataFrame(7, 40, 2))
	if n := r.srv.Stats(); n.DiscardedHandshake != 2 {
		t.Errorf("got %+v", n)
	}
}

// One session's end never closes the daemon's WebSocket: frames for it are answered once and swallowed.
func sessionsThatAreOver(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	other := r.daemon("other")
	foreign := r.session(other, "other", 9)
	frames := func(sid sbrp.SessionID) {
		d.send(dataFrame(sid, 40, 1))
		d.send(acceptFrame(sid))
		d.send(sbrp.AppendSignal(nil, sid, sbrp.SignalReady, sbrp.ReasonNone))
		d.send(sbrp.AppendSignal(nil, sid, sbrp.SignalClose, sbrp.ReasonNone))
	}
	frames(9) // another daemon's session is none of its
	d.wantControl(sbrp.CodeSessionEnded, 9)
	d.sync()
	foreign.sync()

	r.session(d, "d", 7).close()
	d.wantControl(sbrp.CodeSessionEnded, 7)
	frames(7) // it has been told
	d.sync()
	if n := r.srv.Stats(); n.DiscardedUnknown != 8 || n.Daemons != 2 {
		t.Errorf("got %+v", n)
	}
	// The same session id again (a token lives for a while): it is a new session, once the
	// first one's connection is gone.
	eventually(t, "the first client is gone", func() bool { return r.srv.Stats().Clients == 1 })
	c := r.session(d, "d", 7)
	c.close()
	d.wantControl(sbrp.CodeSessionEnded, 7)
	d.sync()
}

func newestDaemonWins(t *testing.T) {
	r := newRig(t, nil)
	first := r.daemon("d", token.ScopeSessionResume)
	c := r.session(first, "d", 7)
	second := r.dial(daemonToken("d", token.ScopeSessionResume))
	first.wantEnd(wsconn.StatusPolicy)
	c.wantControl(sbrp.CodeSessionPaused, 7)
	c.wantControl(sbrp.CodeSessionPending, 7)
	second.wantControl(sbrp.CodeSessionPending, 7)
	second.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
	c.wantControl(sbrp.CodeSessionResumed, 7)
	c.send(dataFrame(7, 40, 1))
	second.want(dataFrame(7, 40, 1))
	if n := r.srv.Stats(); n.Resumes != 1 || n.Pauses != 1 {
		t.Errorf("got %+v", n)
	}
	eventually(t, "the first is gone", func() bool { return r.srv.Stats().Daemons == 1 })
	if !r.srv.Online("d") || r.srv.Online("e") {
		t.Error("Online is wrong")
	}
}

// A daemon that restarted knows nothing of its sessions; it is told each once.
func restartedDaemon(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d", token.ScopeSessionResume)
	const n = 50
	clients := map[sbrp.SessionID]*end{}
	for sid := sbrp.SessionID(1); sid <= n; sid++ {
		clients[sid] = r.session(d, "d", sid)
	}
	d.conn.CloseNow()
	for sid, c := range clients {
		c.wantControl(sbrp.CodeSessionPaused, sid)
	}
	d = r.dial(daemonToken("d", token.ScopeSessionResume))
	held := map[sbrp.SessionID]bool{}
	for range n {
		b, _ := d.next()
		f, err := sbrp.ParseFrame(b)
		if err != nil || held[f.SessionID] {
			t.Fatalf("got %s", describe(b))
		}
		if code, _, err := sbrp.ParseControl(f.Payload); err != nil || code != sbrp.CodeSessionPending {
			t.Fatalf("got %s", describe(b))
		}
		held[f.SessionID] = true
		d.send(sbrp.AppendSignal(nil, f.SessionID, sbrp.SignalClose, sbrp.ReasonStateLost))
	}
	for sid, c := range clients {
		c.wantControl(sbrp.CodeSessionPending, sid)
		c.wantLast(sbrp.CodeSessionExpired, sid)
	}
	d.sync()
}

// A failure of the relay's own ends one connection and nothing else.
func internalError(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	c, good := r.session(d, "d", 7), r.session(d, "d", 8)
	r.srv.Break("d", 7)
	c.send(dataFrame(7, 40, 1))
	c.wantControl(sbrp.CodeInternalError, 0)
	c.wantEnd(wsconn.StatusInternal)
	d.wantControl(sbrp.CodeSessionEnded, 7)
	good.send(dataFrame(8, 40, 1))
	d.want(dataFrame(8, 40, 1))
	if n := r.srv.Stats(); n.Panics != 1 {
		t.Errorf("got %+v", n)
	}
	r.panics = 1
}

// dialHand is a client that neither reads nor answers by itself. The caller may.
func (r *rig) dialHand(tok string) net.Conn {
	r.t.Helper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	if r.pipes != nil {
		dial = r.pipes.dial
	}
	conn, err := dial(context.Background(), "tcp", strings.TrimPrefix(r.url, "ws://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() }) // the test may have
	request := "GET /relay HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer " + tok +
		"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	head := make([]byte, 0, 512)
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		var b [1]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			r.t.Fatal(errors.Join(err, errors.New(string(head))))
		}
		head = append(head, b[0])
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		r.t.Fatalf("got %q", head)
	}
	return conn
}

// handDaemon is dialHand for a daemon, which is online when it returns.
func (r *rig) handDaemon(id string, scopes ...string) net.Conn {
	r.t.Helper()
	conn := r.dialHand(daemonToken(id, scopes...))
	eventually(r.t, "the daemon is online", func() bool { return r.srv.Online(id) })
	return conn
}

// sendHand sends one message, masked, on such a connection.
func sendHand(t testing.TB, conn net.Conn, frame []byte) {
	t.Helper()
	b := []byte{0x82, 0x80 | 127}
	b = binary.BigEndian.AppendUint64(b, uint64(len(frame)))
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	b = append(b, key[:]...)
	for i, x := range frame {
		b = append(b, x^key[i%4])
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}
