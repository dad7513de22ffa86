package relay_test

import (
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/sbrptest"
	claims "culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// codeCases are section 5: each code that the relay sends, whether the connection goes on after it, and which session it names.
func codeCases(s *sbrptest.Suite) {
	s.Case("5.1", "client", "a token that says nothing", loop(func(t *testing.T, r *rig) { refusedWith(t, r, "nonsense", 401, sbrp.CodeUnauthorized) }))
	s.Case("5.1", "daemon", "no token", loop(func(t *testing.T, r *rig) { refusedWith(t, r, "", 401, sbrp.CodeUnauthorized) }))
	s.Case("5.2", "client", "a token that may open no session", loop(func(t *testing.T, r *rig) {
		refusedWith(t, r, mint(openClaims{Role: sbrp.RoleClient, Daemon: "d", Session: 7}), 403, sbrp.CodeForbidden)
	}))
	s.Case("5.4", "client", "connects before its daemon", loop(func(_ *testing.T, r *rig) {
		c := r.client("d", 7)
		c.wantControl(sbrp.CodeDaemonOffline, 7)
		c.wantEnd(wsconn.StatusTryLater)
	}))
	s.Case("5.6", "daemon", "Signal(close)", loop(func(_ *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonNone))
		c.wantControl(sbrp.CodeSessionExpired, 7)
		c.wantEnd(wsconn.StatusNormal)
	}))
	for code, frame := range map[sbrp.Code]brokenFrame{
		sbrp.CodeMalformedFrame:   {"5.7", "cut short", frameOf(0x10, 1, 0, 0), sbrp.CodeMalformedFrame, 0},
		sbrp.CodePayloadTooLarge:  {"5.8", "too large", frameOf(0x10, 65537, 0, 0), sbrp.CodePayloadTooLarge, 0},
		sbrp.CodeInvalidFrameType: {"5.9", "of no type", frameOf(0x88, 0, 0, 0), sbrp.CodeInvalidFrameType, 0},
		sbrp.CodeInvalidSessionID: {"5.10", "of no session", frameOf(0x03, 40, 0, 40), sbrp.CodeInvalidSessionID, 0},
		sbrp.CodeDisallowedSender: {"5.11", "of the relay's", frameOf(0x20, 2, 7, 2), sbrp.CodeDisallowedSender, 7},
		sbrp.CodeSessionNotFound:  {"5.5", "of another session", frameOf(0x03, 40, 8, 40), sbrp.CodeSessionNotFound, 8},
	} {
		s.Case(frame.rule, "client", "sends a frame "+frame.name, loop(func(t *testing.T, r *rig) { breaks(t, r, sbrp.RoleClient, frame) }))
		if code != sbrp.CodeSessionNotFound {
			s.Case(frame.rule, "daemon", "sends a frame "+frame.name, loop(func(t *testing.T, r *rig) { breaks(t, r, sbrp.RoleDaemon, frame) }))
		}
	}
	s.Case("5.12", "relay", "fails over a client's frame", internalError)
	s.Case("5.13", "client", "messages and bytes over the rate, and a daemon", slowedToTheRate)
	s.Case("5.14", "client", "does not read", slowClientIsEndedAlone)
	s.Case("5.15", "daemon", "drops", loop(func(_ *testing.T, r *rig) { _, c := paused(r); c.sync() }))
	s.Case("5.16", "daemon", "comes back and is ready", loop(func(_ *testing.T, r *rig) { _, c := resumed(r); c.sync() }))
	s.Case("5.17", "client", "leaves", loop(func(_ *testing.T, r *rig) {
		d := r.daemon("d")
		r.session(d, "d", 7).close()
		d.wantControl(sbrp.CodeSessionEnded, 7)
		d.sync()
	}))
	s.Case("5.18", "daemon", "comes back", loop(func(_ *testing.T, r *rig) { _, c := paused(r); pending(r, c).sync(); c.sync() }))
	s.Case("5.21", "relay", "every code that it has words for", knownCodes)
	s.Case("5.22", "relay", "a client that does not shake hands", clock(silentBeforeAccept))
	s.Case("5.22", "relay", "a client that is too fast before its handshake", rateBeforeTheHandshake)
	s.Case("5.24", "relay", "texts of a session's life", loop(anonymousTexts))
	s.Case("5.25", "client", "one session ends in every way, another goes on", loop(endsOfOthers))
	s.Case("5.26", "daemon", "frames for sessions that are over", sessionsThatAreOver)
	s.Case("5.27", "client", "every refusal", refusedBeforeTheUpgrade)
}

// resumed brings a session through a pause.
func resumed(r *rig) (d, c *end) {
	r.t.Helper()
	_, c = paused(r)
	d = pending(r, c)
	d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
	c.wantControl(sbrp.CodeSessionResumed, 7)
	return d, c
}

func refusedWith(t *testing.T, r *rig, tok string, status int, code sbrp.Code) {
	t.Helper()
	_, err := r.tryDial(tok)
	de, ok := errors.AsType[*wsconn.DialError](err)
	if !ok || de.Status != status || de.Code != code.String() {
		t.Fatalf("got %v, want %d %v", err, status, code)
	}
}

// knownCodes: AppendControl, the only thing that makes a Control frame, panics for a code outside the table; here it is seen
// that the relay never asks for one.
func knownCodes(t *testing.T) {
	for _, c := range relay.Codes() {
		if !c.Known() {
			t.Errorf("code %v is not in the table", c)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown code was put into a frame")
		}
	}()
	sbrp.AppendControl(nil, 0, 0x7777, "")
}

// silentBeforeAccept: a daemon that ends a held session, silence that makes the relay look after its peers, another session's
// pause: the client hears none of it until its own end.
func silentBeforeAccept(t *testing.T, r *rig) {
	d := r.daemon("d", claims.ScopeSessionResume)
	other := r.session(d, "d", 8)
	c := r.client("d", 7)
	c.send(initFrame(7))
	d.want(initFrame(7))
	wait(29 * time.Second)
	c.quiet()
	d.close()
	other.wantControl(sbrp.CodeSessionPaused, 8)
	c.wantLast(sbrp.CodeDaemonOffline, 7)
	late := r.client("d", 9) // the daemon is off
	late.wantLast(sbrp.CodeDaemonOffline, 9)
}

// anonymousTexts collects the texts of what a session goes through.
func anonymousTexts(t *testing.T, r *rig) {
	const id, sid = "daemon-x", sbrp.SessionID(0x5678123456781234)
	scope := claims.ScopeSessionResume
	c := r.client(id, sid)
	texts := []string{c.wantControl(sbrp.CodeDaemonOffline, sid)}
	d := r.daemon(id, scope)
	eventually(t, "the session id is free", func() bool { return r.srv.Stats().Clients == 0 })
	c = r.session(d, id, sid)
	d.close()
	texts = append(texts, c.wantControl(sbrp.CodeSessionPaused, sid))
	d = r.dial(daemonToken(id, scope))
	texts = append(texts, c.wantControl(sbrp.CodeSessionPending, sid), d.wantControl(sbrp.CodeSessionPending, sid))
	d.send(sbrp.AppendSignal(nil, sid, sbrp.SignalReady, sbrp.ReasonNone))
	texts = append(texts, c.wantControl(sbrp.CodeSessionResumed, sid))
	d.send(sbrp.AppendSignal(nil, sid, sbrp.SignalClose, sbrp.ReasonNone))
	texts = append(texts, c.wantControl(sbrp.CodeSessionExpired, sid))
	d.send(dataFrame(sid, 40, 1))
	texts = append(texts, d.wantControl(sbrp.CodeSessionEnded, sid))
	bad := r.session(d, id, sid+1)
	bad.send(dataFrame(sid, 40, 1))
	texts = append(texts, bad.wantControl(sbrp.CodeSessionNotFound, sid))
	d.wantControl(sbrp.CodeSessionEnded, sid+1)
	d.send(initFrame(sid))
	texts = append(texts, d.wantControl(sbrp.CodeDisallowedSender, sid))
	for _, text := range texts {
		for _, name := range []string{id, sid.String(), "6230", "5678", "Daemon", "Session\"", "session:resume"} {
			if strings.Contains(text, name) {
				t.Errorf("the text %q holds %q", text, name)
			}
		}
	}
}

// endsOfOthers ends sessions by the client, by Signal, by a broken rule and by frames for sessions that never were.
func endsOfOthers(t *testing.T, r *rig) {
	d := r.daemon("d")
	good := r.session(d, "d", 1)
	r.session(d, "d", 2).close()
	d.wantControl(sbrp.CodeSessionEnded, 2)
	c := r.session(d, "d", 3)
	d.send(sbrp.AppendSignal(nil, 3, sbrp.SignalClose, sbrp.ReasonPolicy))
	c.wantLast(sbrp.CodeSessionExpired, 3)
	c = r.session(d, "d", 4)
	c.send(frameOf(0x77, 0, 0, 0))
	c.wantLast(sbrp.CodeInvalidFrameType, 0)
	d.wantControl(sbrp.CodeSessionEnded, 4)
	r.session(d, "d", 5).conn.CloseNow()
	d.wantControl(sbrp.CodeSessionEnded, 5)
	d.send(dataFrame(99, 40, 1))
	d.wantControl(sbrp.CodeSessionEnded, 99)
	d.send(dataFrame(1, 40, 1))
	good.want(dataFrame(1, 40, 1))
	if n := r.srv.Stats(); n.Daemons != 1 {
		t.Errorf("got %+v", n)
	}
}

// cannotOpen reads the imports of the relay: what they import themselves is held by the test of the architecture's arrows.
func cannotOpen(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			if strings.Contains(imp.Path.Value, "e2ee") || strings.Contains(imp.Path.Value, "crypto") {
				t.Errorf("%s imports %s", name, imp.Path.Value)
			}
		}
	}
}
