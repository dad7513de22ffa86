package relay_test

import (
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

var endpoints = []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon}

// Two mistakes in one message, beside those in brokenFrames: the check that comes first is answered.
var brokenTwice = []brokenFrame{
	{"2.22", "1 before 3: header short, type unknown", frameOf(0x7F, 0, 7, 0)[:12], sbrp.CodeMalformedFrame, 0},
	{"2.22", "1 before 5: Control cut short", frameOf(0x20, 3, 7, 2), sbrp.CodeMalformedFrame, 0},
	{"2.22", "1 before the size of a Ping", frameOf(0x10, 10, 0, 9), sbrp.CodeMalformedFrame, 0},
	{"2.22", "2 before 1: the payload is not there", frameOf(0x03, 70000, 7, 3), sbrp.CodePayloadTooLarge, 0},
	{"2.22", "2 before 5: Control too large", frameOf(0x20, 65537, 7, 0), sbrp.CodePayloadTooLarge, 0},
	{"2.22", "2 before the size of a Ping", frameOf(0x10, 65537, 0, 9), sbrp.CodePayloadTooLarge, 0},
	{"2.22", "2 before 4: Ping with a SID", frameOf(0x10, 65537, 7, 0), sbrp.CodePayloadTooLarge, 0},
}

var brokenTwiceBy = map[sbrp.Role][]brokenFrame{
	sbrp.RoleClient: {
		{"2.22", "1 before 6: cut short, another session", frameOf(0x03, 41, 8, 40), sbrp.CodeMalformedFrame, 0},
		{"2.22", "2 before 6: too large, another session", frameOf(0x03, 65537, 8, 0), sbrp.CodePayloadTooLarge, 0},
		{"2.22", "3 before 6: type unknown, another session", frameOf(0x05, 0, 8, 0), sbrp.CodeInvalidFrameType, 0},
		{"2.22", "4 before 5: Accept with SID 0", frameOf(0x02, 128, 0, 128), sbrp.CodeInvalidSessionID, 0},
		{"2.22", "4 before 5: Signal with SID 0", frameOf(0x04, 2, 0, 2), sbrp.CodeInvalidSessionID, 0},
		{"2.22", "4 before 6: Data with SID 0", frameOf(0x03, 40, 0, 40), sbrp.CodeInvalidSessionID, 0},
		{"2.22", "5 before 6: Accept for another session", frameOf(0x02, 128, 8, 128), sbrp.CodeDisallowedSender, 8},
		{"2.22", "5 before 6: Control for another session", frameOf(0x20, 2, 8, 2), sbrp.CodeDisallowedSender, 8},
	},
	sbrp.RoleDaemon: {
		{"2.22", "4 before 5: Init with SID 0", frameOf(0x01, 32, 0, 32), sbrp.CodeInvalidSessionID, 0},
	},
}

// frameCases are section 2, sections 1.4, 1.5 with it.
func frameCases(s *sbrptest.Suite) {
	for _, role := range endpoints {
		for _, table := range [][]brokenFrame{brokenFrames, brokenBy[role], brokenTwice, brokenTwiceBy[role]} {
			for _, tt := range table {
				s.Case(tt.rule, role.String(), tt.name, loop(func(t *testing.T, r *rig) { breaks(t, r, role, tt) }))
			}
		}
		s.Case("2.14", role.String(), "all 249 values without a type", loop(func(t *testing.T, r *rig) { unknownTypes(t, r, role) }))
		s.Case("2.4", role.String(), "text message", loop(func(t *testing.T, r *rig) { textMessage(t, r, role) }))
		s.Case("2.12", role.String(), "Pings of 0 to 8 bytes", loop(func(t *testing.T, r *rig) { pings(r, role) }))
		for _, typ := range []sbrp.FrameType{
			sbrp.FrameHandshakeInit, sbrp.FrameHandshakeAccept, sbrp.FrameData, sbrp.FrameSignal, sbrp.FramePing, sbrp.FramePong,
		} {
			if play := plays[role][typ]; play != nil {
				s.Case("2.23", role.String(), typ.String(), loop(func(t *testing.T, r *rig) { play(t, r) }))
			}
		}
	}
	s.Case("1.4", "daemon", "three sessions on one WebSocket", loop(sharedWebSocket))
	s.Case("1.5", "relay", "imports", cannotOpen)
	s.Case("2.1", "relay", "many Controls at once", restartedDaemon)
	s.Case("2.2", "relay", "bytes of a header", loop(headerBytes))
	s.Case("2.3", "client", "65,536 bytes both ways", loop(largestPayload))
	s.Case("2.10", "daemon", "close with the reason 99", loop(unknownReason))
}

// breaks sends a message that breaks a rule, and looks at what becomes of it, of its sender and of the other end.
func breaks(t *testing.T, r *rig, role sbrp.Role, tt brokenFrame) {
	d := r.daemon("d")
	c := r.session(d, "d", 7)
	culprit, victim := c, d
	if role == sbrp.RoleDaemon {
		culprit, victim = d, c
	}
	culprit.sendRaw(tt.frame)
	text := culprit.wantControl(tt.code, tt.sid)
	culprit.wantEnd(wsconn.StatusPolicy)
	if strings.Contains(text, sbrp.SessionID(7).String()) || strings.Contains(text, "99") {
		t.Errorf("the text names a session: %q", text)
	}
	if role == sbrp.RoleClient {
		victim.wantControl(sbrp.CodeSessionEnded, 7)
		victim.sync() // the daemon goes on
	} else {
		victim.wantControl(sbrp.CodeSessionPaused, 7)
		victim.sync() // so does the client
	}
	if got := r.srv.Stats().Closes[tt.code]; got != 1 {
		t.Errorf("%d closes with %v counted", got, tt.code)
	}
}

// speaker connects who breaks a rule of frames: a client without a handshake, or a daemon.
func speaker(r *rig, role sbrp.Role) *end {
	r.t.Helper()
	if role == sbrp.RoleDaemon {
		return r.daemon("d")
	}
	if !r.srv.Online("d") {
		r.daemon("d")
	}
	return r.dial(clientToken("d", sbrp.NewSessionID()))
}

// unknownTypes sends every type that the table of section 2 does not have.
func unknownTypes(t *testing.T, r *rig, role sbrp.Role) {
	known := map[byte]bool{0x01: true, 0x02: true, 0x03: true, 0x04: true, 0x10: true, 0x11: true, 0x20: true}
	for typ := range 256 {
		if known[byte(typ)] {
			continue
		}
		e := speaker(r, role)
		e.send(frameOf(byte(typ), 0, 7, 0))
		e.wantControl(sbrp.CodeInvalidFrameType, 0)
		e.wantEnd(wsconn.StatusPolicy)
	}
	if n := r.srv.Stats().Closes[sbrp.CodeInvalidFrameType]; n != 249 {
		t.Errorf("%d closes", n)
	}
}

func textMessage(t *testing.T, r *rig, role sbrp.Role) {
	for _, text := range []string{"hi", ""} {
		e := speaker(r, role)
		if _, err := e.net.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)); err != nil {
			t.Fatal(err)
		}
		e.wantControl(sbrp.CodeMalformedFrame, 0)
		e.wantEnd(wsconn.StatusUnsupported)
	}
}

func pings(r *rig, role sbrp.Role) {
	e := speaker(r, role)
	for n := range 9 {
		e.send(sbrp.AppendPing(nil, []byte("12345678")[:n]))
		e.want(sbrp.AppendPong(nil, []byte("12345678")[:n]))
	}
}

// plays has what each party may send, and what comes of it.
var plays = map[sbrp.Role]map[sbrp.FrameType]func(t *testing.T, r *rig){
	sbrp.RoleClient: {
		sbrp.FrameHandshakeInit: func(_ *testing.T, r *rig) {
			d := r.daemon("d")
			r.client("d", 7).send(initFrame(7))
			d.want(initFrame(7))
		},
		sbrp.FrameData: func(_ *testing.T, r *rig) { largestPayload(nil, r) },
		sbrp.FramePing: func(_ *testing.T, r *rig) { pings(r, sbrp.RoleClient) },
		sbrp.FramePong: func(_ *testing.T, r *rig) { pong(r, sbrp.RoleClient) },
	},
	sbrp.RoleDaemon: {
		sbrp.FrameHandshakeAccept: func(_ *testing.T, r *rig) { r.session(r.daemon("d"), "d", 7) },
		sbrp.FrameData:            func(_ *testing.T, r *rig) { largestPayload(nil, r) },
		sbrp.FrameSignal: func(_ *testing.T, r *rig) {
			d := r.daemon("d")
			c := r.session(d, "d", 7)
			d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone)) // changes nothing
			d.sync()
			c.sync()
			d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonPolicy))
			c.wantLast(sbrp.CodeSessionExpired, 7)
			d.sync()
		},
		sbrp.FramePing: func(_ *testing.T, r *rig) { pings(r, sbrp.RoleDaemon) },
		sbrp.FramePong: func(_ *testing.T, r *rig) { pong(r, sbrp.RoleDaemon) },
	},
}

// pong sends Pongs that nobody asked for: they are swallowed.
func pong(r *rig, role sbrp.Role) {
	e := speaker(r, role)
	for n := range 9 {
		e.send(sbrp.AppendPong(nil, []byte("12345678")[:n]))
	}
	e.sync()
}

func sharedWebSocket(t *testing.T, r *rig) {
	d := r.daemon("d")
	var clients []*end
	for sid := sbrp.SessionID(1); sid <= 3; sid++ {
		clients = append(clients, r.session(d, "d", sid))
	}
	for i, c := range clients {
		sid := sbrp.SessionID(i + 1)
		c.send(dataFrame(sid, 50, byte(i)))
		d.want(dataFrame(sid, 50, byte(i)))
		d.send(dataFrame(sid, 60, byte(i)))
	}
	for i, c := range clients {
		c.want(dataFrame(sbrp.SessionID(i+1), 60, byte(i)))
		c.sync()
	}
	if n := r.srv.Stats(); n.Daemons != 1 || n.Paired != 3 {
		t.Errorf("got %+v", n)
	}
}

// headerBytes reads a Control frame of the relay byte by byte.
func headerBytes(t *testing.T, r *rig) {
	const sid = 0x0102030405060708
	c := r.client("nobody", sid)
	b, ok := c.next()
	if !ok {
		t.Fatal(c.err)
	}
	text := len(b) - 15
	want := string([]byte{0x20, 0, 0, byte((text + 2) >> 8), byte(text + 2), 1, 2, 3, 4, 5, 6, 7, 8, 0x02, 0x02})
	if text < 0 || string(b[:15]) != want {
		t.Errorf("got % x, want it to begin with % x", b, want)
	}
}

func largestPayload(_ *testing.T, r *rig) {
	d := r.daemon("d")
	c := r.session(d, "d", 7)
	for _, n := range []int{0, 27, sbrp.MaxPayload} { // sizes are the endpoints' affair
		c.send(dataFrame(7, n, 1))
		d.want(dataFrame(7, n, 1))
		d.send(dataFrame(7, n, 2))
		c.want(dataFrame(7, n, 2))
	}
}

func unknownReason(_ *testing.T, r *rig) {
	d := r.daemon("d", token.ScopeSessionResume)
	c := r.session(d, "d", 7)
	d.send(append(frameOf(0x04, 2, 7, 0), 1, 99))
	c.wantLast(sbrp.CodeSessionExpired, 7)
	d.sync()
	c = r.session(d, "d", 8)
	d.send(append(frameOf(0x04, 2, 8, 0), 0, 99)) // ready, with a reason that it ought not to have
	d.sync()
	c.sync()
}
