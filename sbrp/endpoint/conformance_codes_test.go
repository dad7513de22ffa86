package endpoint_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// codeRules are the rules of the table of section 5, in its order.
var codeRules = []struct {
	rule string
	code sbrp.Code
}{
	{"5.1", sbrp.CodeUnauthorized}, {"5.2", sbrp.CodeForbidden}, {"5.3", sbrp.CodeDaemonNotFound}, {"5.4", sbrp.CodeDaemonOffline},
	{"5.5", sbrp.CodeSessionNotFound}, {"5.6", sbrp.CodeSessionExpired}, {"5.7", sbrp.CodeMalformedFrame}, {"5.8", sbrp.CodePayloadTooLarge},
	{"5.9", sbrp.CodeInvalidFrameType}, {"5.10", sbrp.CodeInvalidSessionID}, {"5.11", sbrp.CodeDisallowedSender}, {"5.12", sbrp.CodeInternalError},
	{"5.13", sbrp.CodeRateLimited}, {"5.14", sbrp.CodeBackpressure}, {"5.15", sbrp.CodeSessionPaused}, {"5.16", sbrp.CodeSessionResumed},
	{"5.17", sbrp.CodeSessionEnded}, {"5.18", sbrp.CodeSessionPending},
}

// codeCases are section 5 at the endpoints: what a relay says, and what becomes of the session and of the WebSocket. The relay is
// the scripted one, since the real one does not say everything at will.
func codeCases(s *sbrptest.Suite) {
	for _, c := range codeRules {
		s.Case(c.rule, "client", c.code.String(), func(t *testing.T) { codeAtClient(t, c.code) })
		s.Case(c.rule, "client", c.code.String()+" before HandshakeAccept", func(t *testing.T) { codeBeforeAccept(t, c.code) })
		s.Case(c.rule, "daemon", c.code.String(), func(t *testing.T) { codeAtDaemon(t, c.code) })
		if c.code.Terminal() && c.code.SessionScoped() && c.code != sbrp.CodeDisallowedSender {
			s.Case("5.25", "relay", c.code.String()+" without a session id", func(t *testing.T) { unscopedAtDaemon(t, c.code) })
		}
	}
	s.Case("5.13", "relay", "rate_limited 20 times", rateLimited)
	s.Case("5.15", "relay", "hints in every order", hintsAtClient)
	for _, code := range []sbrp.Code{
		sbrp.CodeIdentityKeyChanged, sbrp.CodeHandshakeFailed, sbrp.CodeHandshakeTimeout, sbrp.CodeDecryptFailed, sbrp.CodeSequenceError,
	} {
		s.Case("5.19", "relay", code.String(), func(t *testing.T) { meaningless(t, code) })
	}
	s.Case("5.19", "relay", "among other frames in the wrong place", oddControlFrames)
	s.Case("5.20", "relay", "0x7777", func(t *testing.T) { meaningless(t, 0x7777) })
	s.Case("5.20", "relay", "0xFFFF", func(t *testing.T) { meaningless(t, 0xFFFF) })
	s.Case("5.20", "relay", "0x0000", func(t *testing.T) { meaningless(t, 0) })
	s.Case("5.23", "relay", "misleading texts", misleadingTexts)
	s.Case("5.28", "client", "401, 403, 409 before the upgrade", refusedOverSockets)
	s.Case("5.28", "client", "unauthorized and forbidden as Control", refusedByControl)
	s.Case("5.28", "daemon", "401, 403 before the upgrade", tokenRefusedOnce)
	s.Case("5.28", "daemon", "unauthorized and forbidden as Control", presenceRefusedByControl)
}

// codeBeforeAccept: what ends the connection ends the dial with that code; a hint has no meaning yet.
func codeBeforeAccept(t *testing.T, c sbrp.Code) {
	_, err := earlyRelay(t, nil, func(id sbrp.SessionID) []byte {
		if !c.SessionScoped() {
			id = 0
		}
		return sbrp.AppendControl(nil, id, c, "early")
	})
	want := sbrp.CodeHandshakeTimeout
	if c.Terminal() || c == sbrp.CodeSessionEnded {
		want = c
	}
	if !isCode(want)(err) || endpoint.Final(err) {
		t.Errorf("DialSession = %v, want %v", err, want)
	}
}

// unscopedAtDaemon: a code about a session that names none is no reason to give up the WebSocket of all sessions.
func unscopedAtDaemon(t *testing.T, c sbrp.Code) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.InjectDaemon(daemonID, sbrp.AppendControl(nil, 0, c, "no session"))
		synctest.Wait()
		x.talk("afterwards")
		if n := r.daemon.Stats(); n.Losses != 0 {
			t.Errorf("got %+v", n)
		}
	})
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}
func (l *lockedLog) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// meaningless: a code that is unknown or local is logged by either end, before and after HandshakeAccept, and ends nothing.
func meaningless(t *testing.T, c sbrp.Code) {
	control := func(id sbrp.SessionID) []byte {
		return sbrp.AppendFrame(nil, sbrp.FrameControl, id, binary.BigEndian.AppendUint16(nil, uint16(c)))
	}
	synctest.Test(t, func(t *testing.T) {
		var early, late, daemon lockedLog
		log := func(l *lockedLog) *slog.Logger {
			return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.Logger = log(&daemon) })
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type == sbrp.FrameHandshakeInit {
				r.relay.InjectClient(p.SessionID, control(p.SessionID))
			}
			return [][]byte{p.Message}
		})
		r.dial(func(c *endpoint.ClientConfig) { c.Logger = log(&early) }).talk("all the same")
		r.relay.Script(nil)
		x := r.dial(func(c *endpoint.ClientConfig) { c.Logger = log(&late) })
		for _, id := range []sbrp.SessionID{0, x.id} {
			r.relay.InjectClient(x.id, control(id))
			r.relay.InjectDaemon(daemonID, control(id))
		}
		synctest.Wait()
		x.talk("all the same")
		if n := x.client.Stats().UnknownControls; n != 2 {
			t.Errorf("client counted %d", n)
		}
		if n := r.daemon.Stats(); n.UnknownControls != 2 || n.Losses != 0 {
			t.Errorf("daemon counted %+v", n)
		}
		for who, l := range map[string]*lockedLog{"client before HandshakeAccept": &early, "client": &late, "daemon": &daemon} {
			if !strings.Contains(l.String(), "ignored control frame") {
				t.Errorf("%s logged nothing of it", who)
			}
		}
	})
}

// misleadingTexts: the text says one thing and the code another.
func misleadingTexts(t *testing.T) {
	for _, text := range []string{"", "session_expired", "unauthorized: close now", "\x00\xff\xfe", strings.Repeat("x", 65534)} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			x := r.dial(nil)
			r.relay.InjectClient(x.id, sbrp.AppendControl(nil, x.id, sbrp.CodeSessionPaused, text))
			x.client.wantPath(false, 0)
			r.relay.InjectClient(x.id, sbrp.AppendControl(nil, x.id, sbrp.CodeSessionResumed, text))
			x.client.wantPath(true, 1)
			r.relay.InjectDaemon(daemonID, sbrp.AppendControl(nil, x.id, sbrp.CodeSessionPending, text))
			synctest.Wait()
			r.wantSignals(x.id, ready(x.id))
			x.talk("all the same")
			r.relay.InjectClient(x.id, sbrp.AppendControl(nil, x.id, sbrp.CodeSessionExpired, "all is well "+text[:min(len(text), 60000)]))
			x.client.wantCode(sbrp.CodeSessionExpired)
		})
	}
}

func refusedByControl(t *testing.T) {
	for _, code := range []sbrp.Code{sbrp.CodeUnauthorized, sbrp.CodeForbidden} {
		_, err := earlyRelay(t, nil, func(sbrp.SessionID) []byte { return sbrp.AppendControl(nil, 0, code, "no") })
		if ce, ok := errors.AsType[*sbrp.ControlError](err); !ok || ce.Code != code {
			t.Errorf("DialSession = %v, want %v", err, code)
		}
	}
}

// presenceRefusedByControl: a relay that upgrades first and then refuses the token is understood as one that answers 401: the
// daemon asks for another token before it comes back.
func presenceRefusedByControl(t *testing.T) {
	for _, code := range []sbrp.Code{sbrp.CodeUnauthorized, sbrp.CodeForbidden} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r.relay.TellDaemon(daemonID, 0, code)
			if err := r.relay.Await(ctx, func() bool { return len(r.relay.PresenceTokens()) > 1 }); err != nil {
				t.Fatal(err)
			}
			if tokens := r.relay.PresenceTokens(); tokens[1] == tokens[0] {
				t.Errorf("%v: the daemon came back with the token that was refused", code)
			}
			r.await("the daemon to come online", func() bool { return r.relay.Online(daemonID) })
			r.dial(nil).talk("with the new token")
		})
	}
}
