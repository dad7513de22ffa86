package sbrp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// mustPanic fails unless f panics with a message that holds want.
func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
			t.Errorf("panic: got %q, want %q in it", got, want)
		}
	}()
	f()
}

func TestAppendPanicsOnOurOwnMistakes(t *testing.T) {
	big := make([]byte, MaxPayload+1)
	mustPanic(t, "65537 bytes", func() { AppendFrame(nil, FrameData, 1, big) })
	mustPanic(t, "-1 bytes", func() { PutHeader(make([]byte, HeaderSize), FrameData, 1, -1) })
	mustPanic(t, "65537 bytes", func() { PutHeader(make([]byte, HeaderSize), FrameData, 1, MaxPayload+1) })
	mustPanic(t, "out of range", func() { PutHeader(make([]byte, HeaderSize-1), FrameData, 1, 0) })
	mustPanic(t, "payload_too_large", func() { AppendPing(nil, make([]byte, MaxPing+1)) })
	mustPanic(t, "payload_too_large", func() { AppendPong(nil, make([]byte, MaxPing+1)) })
	mustPanic(t, "0x9999", func() { AppendControl(nil, 0, 0x9999, "") })
	mustPanic(t, "sequence_error", func() { AppendControl(nil, 0, CodeSequenceError, "") })
	mustPanic(t, "65535 bytes", func() { AppendControl(nil, 0, CodeForbidden, strings.Repeat("a", 65535)) })
	mustPanic(t, "0x02", func() { AppendSignal(nil, 1, 2, ReasonNone) })
	mustPanic(t, "0x05", func() { AppendSignal(nil, 1, SignalClose, 5) })
	mustPanic(t, "session id 0", func() { AppendSignal(nil, 0, SignalReady, ReasonNone) })
}

func TestAppendRefusesUnknownTypes(t *testing.T) {
	for v := range 256 {
		f := Frame{Type: FrameType(v), SessionID: 1, Payload: make([]byte, InitSize)}
		if f.Type.Known() {
			continue
		}
		_, err := f.Append(nil)
		wantCode(t, f.Type.String(), err, "invalid_frame_type")
		wantCode(t, f.Type.String(), f.CheckPayload(), "invalid_frame_type")
	}
}

// The order of the relay's checks: a message that breaks a rule and every later one is answered for the first.
func TestParseFrameOrderOfChecks(t *testing.T) {
	for _, tt := range []struct {
		name, msg string
		code      Code
		rule      Rule
	}{
		{"short header of an unknown type", "ff", CodeMalformedFrame, RuleLength},
		{"too large, payload missing, unknown type, no session", "ff 00010001 0000000000000000", CodePayloadTooLarge, RuleSize},
		{"payload missing, unknown type", "ff 00000001 0000000000000000", CodeMalformedFrame, RuleLength},
		{"payload too long, unknown type", "ff 00000000 0000000000000000 00", CodeMalformedFrame, RuleLength},
		{"unknown type with session zero", "05 00000000 0000000000000000", CodeInvalidFrameType, RuleType},
		{"data with session zero", "03 00000000 0000000000000000", CodeInvalidSessionID, RuleSessionID},
		{"ping with a session and 9 bytes", "10 00000009 0000000000000001 000000000000000000", CodeInvalidSessionID, RuleSessionID},
		{"ping of 9 bytes", "10 00000009 0000000000000000 000000000000000000", CodeMalformedFrame, RulePing},
		{"pong of 9 bytes", "11 00000009 0000000000000000 000000000000000000", CodeMalformedFrame, RulePing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseFrame(decodeHex(t, tt.msg))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != tt.code || e.Rule != tt.rule || e.SessionID != 0 {
				t.Errorf("got %#v, want %v by rule %v, session id zero", e, tt.code, tt.rule)
			}
		})
	}
}

func TestCheckSender(t *testing.T) {
	for _, tt := range []struct {
		f    Frame
		from Role
		code string
		rule Rule
	}{
		{Frame{Type: FrameData, SessionID: 7}, RoleClient, "", RuleNone},
		{Frame{Type: FrameData, SessionID: 8}, RoleClient, "session_not_found", RuleBound},
		{Frame{Type: FrameHandshakeInit, SessionID: 8}, RoleClient, "session_not_found", RuleBound},
		{Frame{Type: FrameSignal, SessionID: 8}, RoleClient, "disallowed_sender", RuleSender}, // 5 before 6
		{Frame{Type: FramePing}, RoleClient, "", RuleNone},
		{Frame{Type: FrameData, SessionID: 8}, RoleDaemon, "", RuleNone},
		{Frame{Type: FrameControl, SessionID: 8}, RoleDaemon, "disallowed_sender", RuleSender},
		{Frame{Type: FrameControl, SessionID: 8}, RoleRelay, "", RuleNone},
		{Frame{Type: FrameData, SessionID: 8}, RoleRelay, "disallowed_sender", RuleSender},
		{Frame{Type: FramePing}, Role(0), "disallowed_sender", RuleSender},
		{Frame{Type: 0x99}, RoleClient, "disallowed_sender", RuleSender},
	} {
		err := CheckSender(tt.f, tt.from, 7)
		wantCode(t, tt.f.Type.String()+" from "+tt.from.String(), err, tt.code)
		if e, ok := errors.AsType[*Error](err); ok && (e.Rule != tt.rule || e.SessionID != tt.f.SessionID) {
			t.Errorf("%v from %v: got rule %v, session id %d; want %v, %d", tt.f.Type, tt.from, e.Rule, e.SessionID, tt.rule, tt.f.SessionID)
		}
	}
}

// What reaches an endpoint is what the other end sends through the relay and what the relay sends itself.
func TestReceivedBy(t *testing.T) {
	for _, typ := range kinds {
		client := typ.SentBy(RoleRelay) || typ.SentBy(RoleDaemon) && typ != FrameSignal
		daemon := typ.SentBy(RoleRelay) || typ.SentBy(RoleClient)
		if got := typ.ReceivedBy(RoleClient); got != client {
			t.Errorf("%v at a client: got %v, want %v", typ, got, client)
		}
		if got := typ.ReceivedBy(RoleDaemon); got != daemon {
			t.Errorf("%v at a daemon: got %v, want %v", typ, got, daemon)
		}
		if typ.ReceivedBy(Role(9)) || typ.SentBy(Role(9)) {
			t.Errorf("%v is for role 9", typ)
		}
	}
	if FrameType(0x99).ReceivedBy(RoleRelay) || FrameType(0x99).ReceivedBy(RoleClient) {
		t.Error("an unknown type is received by somebody")
	}
}

func TestParseAliasesTheMessage(t *testing.T) {
	msg := AppendFrame(nil, FrameData, 5, make([]byte, MinSealed))
	f, err := ParseFrame(msg)
	if err != nil || &f.Payload[0] != &msg[HeaderSize] {
		t.Errorf("payload does not alias the message: %v", err)
	}
}

func TestParsersDoNotAllocate(t *testing.T) {
	msg := AppendFrame(nil, FrameData, 5, make([]byte, 1000))
	buf := make([]byte, 0, MaxFrame)
	for name, f := range map[string]func(){
		"ParseFrame":         func() { _, _ = ParseFrame(msg) },
		"ParseEndpointFrame": func() { _, _ = ParseEndpointFrame(msg) },
		"AppendFrame":        func() { AppendFrame(buf, FrameData, 5, msg[:1000]) },
		"CheckSender":        func() { _ = CheckSender(Frame{Type: FrameData, SessionID: 5}, RoleClient, 5) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// A broken stream stays broken and keeps nothing of what comes after.
func TestDecoderAfterAnErrorKeepsNothing(t *testing.T) {
	var d Decoder
	d.Write(decodeHex(t, "99 00000000 0000000000000001"))
	_, _, first := d.Next()
	wantCode(t, "Next", first, "invalid_frame_type")
	for range 1000 {
		d.Write(make([]byte, 1<<20))
	}
	if cap(d.buf) != 0 || d.Buffered() != HeaderSize+1000<<20 {
		t.Errorf("keeps %d bytes, counts %d", cap(d.buf), d.Buffered())
	}
	if _, ok, err := d.Next(); ok || err != first {
		t.Errorf("got %v, %v; want the first error again", ok, err)
	}
}

// The payload of a frame has no room behind it: appending to one cannot reach the next frame.
func TestDecoderPayloadIsCapped(t *testing.T) {
	var d Decoder
	two := AppendPing(AppendPing(nil, []byte("first")), []byte("second"))
	d.Write(two)
	f, _, _ := d.Next()
	_ = append(f.Payload, bytes.Repeat([]byte{0xff}, 40)...)
	if g, ok, err := d.Next(); !ok || err != nil || string(g.Payload) != "second" {
		t.Errorf("got %q %v %v", g.Payload, ok, err)
	}
}

// The stream decoder holds on to one frame's worth of memory however long the stream runs.
func TestDecoderMemoryIsBounded(t *testing.T) {
	var d Decoder
	frame := AppendFrame(nil, FrameData, 1, make([]byte, MaxPayload))
	for range 50 {
		for chunk := frame; len(chunk) > 0; {
			n := min(len(chunk), 10_000)
			d.Write(chunk[:n])
			chunk = chunk[n:]
			for {
				if _, ok, err := d.Next(); err != nil {
					t.Fatal(err)
				} else if !ok {
					break
				}
			}
		}
	}
	if c := cap(d.buf); c > 2*MaxFrame {
		t.Errorf("keeps %d bytes for a frame of %d", c, MaxFrame)
	}
	if d.Buffered() != 0 {
		t.Errorf("%d bytes left", d.Buffered())
	}
}

func BenchmarkParseFrame(b *testing.B) {
	msg := AppendFrame(nil, FrameData, 5, make([]byte, MaxPayload))
	b.ReportAllocs()
	for b.Loop() {
		f, err := ParseFrame(msg)
		if err != nil || CheckSender(f, RoleClient, 5) != nil {
			b.Fatal(err)
		}
	}
}
