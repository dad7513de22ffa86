package mux

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// rawHello sends a HELLO made by hand and gives the answer's type and body.
func rawHello(t *testing.T, w *world, h Hello, sign func([]byte) []byte, change func([]byte) []byte) (record, *muxtest.Pair) {
	t.Helper()
	pair := muxtest.NewPair(nil)
	w.done.Go(func() { _ = w.server.Serve(w.ctx, pair.B) })
	h.Transcript = pair.A.Transcript()
	if h.Version == 0 {
		h.Version = protocolVersion
	}
	if h.HoldTime == 0 {
		h.HoldTime = time.Minute
	}
	err := sendRecord(pair.A, func(b []byte) ([]byte, error) {
		b, err := appendHello(b, h, sign)
		if err == nil && change != nil {
			b = append(b[:muxtest.Head], change(b[muxtest.Head:])...)
		}
		return b, err
	})
	if err != nil {
		t.Fatal(err)
	}
	msg, _, err := receiveMessage(pair.A)
	if err != nil {
		t.Fatalf("wait for an answer: %v", err)
	}
	r, _, err := parseRecord(msg)
	if err != nil {
		t.Fatal(err)
	}
	return r, pair
}

func wantRefused(t *testing.T, r record, code Refusal) {
	t.Helper()
	if r.typ != recRefuse {
		t.Fatalf("answer is record 0x%02x %q, want REFUSE %s", r.typ, r.data, code)
	}
	if e, ok := asRefused(parseRefuse(r.data)); !ok || e.Code != code {
		t.Fatalf("refused: %v, want %s", e, code)
	}
}

func TestHelloIsChecked(t *testing.T) {
	key, sign := testKey(7)
	_, otherSign := testKey(8)
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	oldTranscript := func(m []byte) []byte {
		m = slices.Clone(m)
		m[len(helloLabel)] ^= 1
		return sign(m)
	}
	tests := []struct {
		name   string
		hello  Hello
		sign   func([]byte) []byte
		change func([]byte) []byte
		want   Refusal
	}{
		{"another's signature", Hello{Key: key}, otherSign, nil, RefuseInvalid},
		{"signature for another carrier", Hello{Key: key}, oldTranscript, nil, RefuseInvalid},
		{"signature changed", Hello{Key: key}, sign, flip(1), RefuseInvalid},
		{"another label", Hello{Key: key}, func(m []byte) []byte { return sign(m[1:]) }, nil, RefuseInvalid},
		{"newer version", Hello{Key: key, Version: 2}, sign, nil, RefuseVersion},
		{"newer version, signed otherwise", Hello{Key: key, Version: 2}, otherSign, nil, RefuseVersion},
		{"no JSON", Hello{Key: key}, sign, flip(-1), RefuseInvalid},
		{"too short", Hello{Key: key}, sign, func(b []byte) []byte { return b[:20] }, RefuseInvalid},
		{"too long", Hello{Key: key}, sign, func(b []byte) []byte { return append(b, make([]byte, maxHello)...) }, RefuseInvalid},
		{"name of control characters", Hello{Key: key, Name: "a\x1b[2Jb"}, sign, nil, RefuseInvalid},
		{"name too long", Hello{Key: key, Name: strings.Repeat("n", 129)}, sign, nil, RefuseInvalid},
		{"proof too long", Hello{Key: key, Pairing: make([]byte, 65)}, sign, nil, RefuseInvalid},
		{"hold time of years", Hello{Key: key, HoldTime: 1e6 * time.Hour}, sign, nil, RefuseInvalid},
	}
	w := newWorld(t, worldOptions{server: func(c *ServerConfig) {
		c.Admit = func(_ context.Context, h Hello) (Admission, error) {
			t.Errorf("Admit is asked for %+v", h)
			return Admission{}, nil
		}
	}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, pair := rawHello(t, w, tt.hello, tt.sign, tt.change)
			wantRefused(t, r, tt.want)
			_ = pair.A.Close("done")
		})
	}
}

func TestFirstRecordMustBeHello(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, msg := range [][]byte{appendAck(nil, 0, 0), dataAt(0, "x"), {recWelcome, '{', '}'}, {0xff}, {recHello}} {
		pair := muxtest.NewPair(nil)
		served := make(chan error, 1)
		w.done.Go(func() { served <- w.server.Serve(w.ctx, pair.B) })
		_ = sendRecord(pair.A, func(b []byte) ([]byte, error) { return append(b, msg...), nil })
		if msg[0] == recHello {
			m, _, err := receiveMessage(pair.A)
			if err != nil || m[0] != recRefuse {
				t.Errorf("an empty HELLO is answered by %q, %v", m, err)
			}
			_ = pair.A.Close("done")
		}
		if err := <-served; err == nil {
			t.Errorf("%x: served", msg)
		} else if _, refused := asRefused(err); !refused && !errors.Is(err, ErrProtocol) {
			t.Errorf("%x: %v, want a breach", msg, err)
		}
	}
	if n := len(w.server.Links()); n != 0 {
		t.Errorf("%d links", n)
	}
}

func TestAdmitDecides(t *testing.T) {
	var verdict error
	seen := make(chan Hello, 10)
	w := newWorld(t, worldOptions{server: func(c *ServerConfig) {
		c.Admit = func(_ context.Context, h Hello) (Admission, error) {
			seen <- h
			return Admission{Targets: []TargetInfo{{Name: "web", Kind: "tcp", Port: 3000}}}, verdict
		}
	}})
	verdict = &RefusedError{Code: RefuseNotAuthorized, Text: "nobody has granted this key anything"}
	_, errs := w.connect(nil)
	if e, ok := asRefused(<-errs); !ok || e.Code != RefuseNotAuthorized || e.Text != "nobody has granted this key anything" {
		t.Errorf("refused: %v", e)
	}
	if h := <-seen; h.Key != w.key || h.Name != "laptop" || h.Program != "test 1" || h.Version != 1 {
		t.Errorf("Admit saw %+v", h)
	}
	verdict = errors.New("secret detail")
	_, errs = w.connect(nil)
	if e, ok := asRefused(<-errs); !ok || e.Code != RefuseBusy || strings.Contains(e.Text, "secret") {
		t.Errorf("refused: %v, want busy without details", e)
	}
	if _, ok := w.client.Welcome(); ok {
		t.Error("there is a WELCOME")
	}
	verdict = nil
	w.connect(nil)
	w.open()
	wel, ok := w.client.Welcome()
	if !ok || len(wel.Targets) != 1 || wel.Targets[0] != (TargetInfo{"web", "tcp", 3000}) || wel.Resumed || wel.Program != "testd 1" {
		t.Errorf("WELCOME %+v, %v", wel, ok)
	}
}

// TestRevokedWhileHeld refuses a client that comes back: its link ends at both ends.
func TestRevokedWhileHeld(t *testing.T) {
	var verdict error
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: handle, server: func(c *ServerConfig) {
		c.Admit = func(context.Context, Hello) (Admission, error) { return Admission{}, verdict }
	}})
	pair, errs := w.connect(nil)
	here := w.open()
	there := <-streams
	verdict = &RefusedError{Code: RefuseExpired, Text: "since yesterday"}
	pair.Cut(muxtest.ErrCut)
	<-errs
	_, errs = w.connect(nil)
	if e, ok := asRefused(<-errs); !ok || e.Code != RefuseExpired {
		t.Errorf("refused: %v", e)
	}
	for _, s := range []*Stream{here, there} {
		_, err := s.Read(make([]byte, 1))
		if end, ok := errors.AsType[*LinkError](err); !ok || end.Code != CodeRevoked {
			t.Errorf("read: %v, want the revocation", err)
		}
	}
}

// TestAnotherKeyCannotTakeOver gives a link's id to another authorised client.
func TestAnotherKeyCannotTakeOver(t *testing.T) {
	w := newWorld(t, worldOptions{})
	pair, _ := w.connect(nil)
	s := w.open()
	mustWrite(t, s, "before")
	mustRead(t, s, "before")
	id := w.client.Status().Link

	key, sign := testKey(9)
	r, other := rawHello(t, w, Hello{Key: key, LinkID: id, Attempt: 99, Limit: 1 << 20}, sign, nil)
	wel, err := parseWelcome(r.data)
	if r.typ != recWelcome || err != nil || wel.Resumed || wel.LinkID == id {
		t.Fatalf("the other client gets %+v, %v, want a link of its own", wel, err)
	}
	_ = other.A.Close("done")

	mustWrite(t, s, "after")
	mustRead(t, s, "after")
	if up, _, _ := pair.A.Path(); !up || w.client.Status().State != StateLive {
		t.Error("the owner's carrier suffered")
	}
	if n := w.server.Drop(w.key, CodeRevoked, ""); n != 1 {
		t.Errorf("the owner has %d links, want 1", n)
	}
}

func TestLateHelloIsStale(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.connect(nil)
	s := w.open()
	mustWrite(t, s, "x")
	mustRead(t, s, "x")
	_, sign := testKey(1)
	r, pair := rawHello(t, w, Hello{Key: w.key, LinkID: w.client.Status().Link, Attempt: 1}, sign, nil)
	wantRefused(t, r, RefuseStale)
	_ = pair.A.Close("done")
	mustWrite(t, s, "y")
	mustRead(t, s, "y")
}

// TestImpossibleOffsetsInHello has the daemon start anew when the client claims what cannot be.
func TestImpossibleOffsetsInHello(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.connect(nil)
	s := w.open()
	mustWrite(t, s, "x")
	mustRead(t, s, "x")
	_, sign := testKey(1)
	r, pair := rawHello(t, w, Hello{Key: w.key, LinkID: w.client.Status().Link, Attempt: 50, Received: 1 << 40}, sign, nil)
	wel, err := parseWelcome(r.data)
	if r.typ != recWelcome || err != nil || wel.Resumed {
		t.Errorf("answer 0x%02x, %+v, %v, want a new link", r.typ, wel, err)
	}
	_ = pair.A.Close("done")
}

func TestRestartedDaemon(t *testing.T) {
	w := newWorld(t, worldOptions{})
	pair, errs := w.connect(nil)
	old := w.open()
	bulk := strings.Repeat("much more than the first window ", 64<<10) // 2 MiB
	echo := func(s *Stream) {
		t.Helper()
		wrote := make(chan error, 1)
		go func() { _, err := s.Write([]byte(bulk)); wrote <- err }()
		got := make([]byte, len(bulk))
		_, err := io.ReadFull(s, got)
		if err = errors.Join(<-wrote, err); err != nil || string(got) != bulk {
			t.Fatalf("an echo of %d bytes: %v", len(bulk), err)
		}
	}
	echo(old)
	pair.Cut(muxtest.ErrCut)
	<-errs
	var limit atomic.Uint64
	reborn := newWorld(t, worldOptions{server: func(c *ServerConfig) {
		c.Admit = func(_ context.Context, h Hello) (Admission, error) {
			limit.Store(h.Limit)
			return Admission{}, nil
		}
	}})
	second := muxtest.NewPair(nil)
	w.done.Go(func() { _ = reborn.server.Serve(w.ctx, second.B) })
	w.done.Go(func() { _ = w.client.Serve(w.ctx, second.A) })
	_, err := old.Read(make([]byte, 1))
	if end, ok := errors.AsType[*LinkError](err); !ok || end.Code != CodeUnknown {
		t.Errorf("old stream: %v, want that the daemon does not know the link", err)
	}
	// What the daemon sends keeps to the new link's window, whatever the old one's was.
	echo(w.open())
	if got := limit.Load(); got != DefaultWindowMin {
		t.Errorf("HELLO allows %d bytes, want the first window of a new link", got)
	}
	if got := w.kinds(); !slices.Equal(got, []EventKind{EventConnected, EventHeld, EventLost, EventConnected}) {
		t.Errorf("events %v", got)
	}
}

// A client whose link the daemon does not have has maybe told that link's limit: the new link's
// comes with the first ACK.
func TestLimitOfLostLink(t *testing.T) {
	w := newWorld(t, worldOptions{})
	_, sign := testKey(1)
	for _, named := range []LinkID{{}, {1}} {
		r, pair := rawHello(t, w, Hello{Key: w.key, LinkID: named, Attempt: 1, Limit: 1 << 40}, sign, nil)
		wel, err := parseWelcome(r.data)
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(1 << 40)
		if !named.IsZero() {
			want = 0
		}
		if got := w.peerLimit(wel.LinkID); got != want {
			t.Errorf("link %v named in HELLO: the daemon may send up to %d, want %d", named, got, want)
		}
		_ = pair.A.Close("done")
	}
}

// peerLimit waits until the daemon has put a link's first carrier into use, and says how far it may send.
func (w *world) peerLimit(id LinkID) uint64 {
	w.server.mu.Lock()
	l := w.server.links[id]
	w.server.mu.Unlock()
	l.mu.Lock()
	attached := l.attached
	l.mu.Unlock()
	<-attached
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peerLimit
}

func TestPairingProofs(t *testing.T) {
	good := func(transcript [32]byte, role byte) []byte { return append(transcript[:31:31], role) }
	proof := byte('d')
	var sent []byte
	w := newWorld(t, worldOptions{
		client: func(c *ClientConfig) {
			c.Pairing = func(tr [32]byte) []byte { sent = good(tr, 'c'); return sent }
			c.CheckPairing = func(tr [32]byte, p []byte) error {
				if string(p) != string(good(tr, 'd')) {
					return errors.New("wrong proof")
				}
				return nil
			}
		},
		server: func(c *ServerConfig) {
			c.Admit = func(_ context.Context, h Hello) (Admission, error) {
				if string(h.Pairing) != string(good(h.Transcript, 'c')) {
					return Admission{}, &RefusedError{Code: RefusePairing}
				}
				return Admission{PairingProof: good(h.Transcript, proof)}, nil
			}
		},
	})
	proof = 'x'
	_, errs := w.connect(nil)
	if err := <-errs; err == nil || !strings.Contains(err.Error(), "wrong proof") {
		t.Errorf("a daemon that does not know the code: %v", err)
	}
	if _, ok := w.client.Welcome(); ok || w.client.Status().State != StateConnecting {
		t.Error("something of its WELCOME was used")
	}
	proof = 'd'
	w.connect(nil)
	s := w.open()
	mustWrite(t, s, "x")
	mustRead(t, s, "x")
}

func TestMaxLinks(t *testing.T) {
	w := newWorld(t, worldOptions{server: func(c *ServerConfig) { c.MaxLinks = 2 }})
	_, sign := testKey(1)
	for range 2 {
		if r, _ := rawHello(t, w, Hello{Key: w.key, Limit: 1 << 20}, sign, nil); r.typ != recWelcome {
			t.Fatalf("answer 0x%02x", r.typ)
		}
	}
	key, otherSign := testKey(3)
	r, pair := rawHello(t, w, Hello{Key: key}, otherSign, nil)
	wantRefused(t, r, RefuseBusy)
	_ = pair.A.Close("done")
	// A client's own link that is held, or was never proven, goes for its new one.
	if r, _ := rawHello(t, w, Hello{Key: w.key}, sign, nil); r.typ != recWelcome {
		t.Errorf("answer 0x%02x to the client that has two", r.typ)
	}
}

func TestWelcomeIsChecked(t *testing.T) {
	answer := func(body string) error {
		pair := muxtest.NewPair(nil)
		key, sign := testKey(1)
		c, err := NewClient(ClientConfig{Key: key, Sign: sign})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close("done")
		errs := make(chan error, 1)
		go func() { errs <- c.Serve(t.Context(), pair.A) }()
		if _, _, err := receiveMessage(pair.B); err != nil {
			t.Fatal(err)
		}
		// Data that overtook WELCOME is skipped.
		_ = sendRecord(pair.B, func(b []byte) ([]byte, error) { return append(b, dataAt(0, "early")...), nil })
		_ = sendRecord(pair.B, func(b []byte) ([]byte, error) { return append(b, body...), nil })
		return <-errs
	}
	id := newLinkID().String()
	valid := map[string]any{"version": 1, "link": id}
	with := func(k string, v any) string {
		m := map[string]any{}
		maps.Copy(m, valid)
		m[k] = v
		b, _ := json.Marshal(m)
		return "\x02" + string(b)
	}
	for name, body := range map[string]string{
		"no version":    with("version", 0),
		"odd version":   with("version", "1"),
		"no link":       with("link", strings.Repeat("0", 32)),
		"short link":    with("link", "00"),
		"not asked for": with("resumed", true),
		"received":      with("received", 5),
		"hold":          with("hold_ms", -1),
		"proof":         with("pairing", make([]byte, 100)),
		"target":        with("targets", []TargetInfo{{Name: "a\nb"}}),
		"no JSON":       "\x02{",
		"too long":      "\x02" + strings.Repeat(" ", maxWelcome+1),
		"odd REFUSE":    "\x03[]",
		"long REFUSE":   "\x03" + strings.Repeat(" ", maxRefuse+1),
		"unknown":       "\x77",
	} {
		if err := answer(body); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want a breach of the protocol", name, err)
		}
	}
	if e, ok := asRefused(answer(`` + "\x03" + `{"code":"weather","text":"rain\u001b[2J"}`)); !ok || e.Code != "weather" || strings.Contains(e.Error(), "\x1b") {
		t.Errorf("an unknown refusal: %v", e)
	}
}

func TestConfigIsChecked(t *testing.T) {
	key, sign := testKey(1)
	for name, c := range map[string]ClientConfig{
		"no Sign":      {Key: key},
		"half pairing": {Sign: sign, Pairing: func([32]byte) []byte { return nil }},
		"name":         {Sign: sign, Name: "a\nb"},
		"hold":         {Sign: sign, HoldTime: time.Millisecond},
		"window":       {Sign: sign, WindowMin: 10},
		"order":        {Sign: sign, WindowMin: 1 << 20, WindowMax: 1 << 19},
		"stream":       {Sign: sign, StreamWindow: 1},
	} {
		if _, err := NewClient(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	admit := func(context.Context, Hello) (Admission, error) { return Admission{}, nil }
	handle := func(context.Context, *Session) {}
	for name, c := range map[string]ServerConfig{
		"no Admit":  {Handle: handle},
		"no Handle": {Admit: admit},
		"links":     {Admit: admit, Handle: handle, MaxLinks: -1},
		"program":   {Admit: admit, Handle: handle, Program: strings.Repeat("x", 200)},
		"hold":      {Admit: admit, Handle: handle, HoldTime: 48 * time.Hour},
	} {
		if _, err := NewServer(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewClient(ClientConfig{Sign: sign, WindowMax: 8 << 10}); err != nil {
		t.Errorf("a small largest window: %v", err)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	w := newWorld(t, worldOptions{})
	pair := muxtest.NewPair(nil)
	ctx, cancel := context.WithCancelCause(w.ctx)
	errs := make(chan error, 1)
	w.done.Go(func() { _ = w.server.Serve(w.ctx, pair.B) })
	w.done.Go(func() { errs <- w.client.Serve(ctx, pair.A) })
	s := w.open()
	cause := errors.New("network changed")
	cancel(cause)
	if err := <-errs; !errors.Is(err, cause) {
		t.Errorf("Serve: %v, want its context's cause", err)
	}
	w.connect(nil)
	mustWrite(t, s, "x")
	mustRead(t, s, "x")
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(s); err != nil {
		t.Error(err)
	}
}

func TestSmallCarrierIsRefused(t *testing.T) {
	w := newWorld(t, worldOptions{})
	pair := muxtest.NewPairOf([32]byte{1}, 100, nil)
	if err := w.client.Serve(w.ctx, pair.A); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("client: %v", err)
	}
	if err := w.server.Serve(w.ctx, pair.B); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("server: %v", err)
	}
}

func FuzzHello(f *testing.F) {
	key, sign := testKey(1)
	good, err := appendHello(nil, Hello{Version: 1, Key: key, Name: "n", LinkID: LinkID{1}}, sign)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[1:])
	f.Add(append(make([]byte, signatureSize), `{"version":1}`...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHello(b, [32]byte{}, func(ed25519.PublicKey, []byte, []byte) bool { return true })
		if err != nil {
			if _, ok := asRefused(err); !ok {
				t.Fatalf("parse %q: %v is no refusal", b, err)
			}
			return
		}
		if !plainText(h.Name) || !plainText(h.Program) || len(h.Pairing) > maxPairing || h.HoldTime > maxHoldTime || h.HoldTime < 0 {
			t.Fatalf("parse %q: %+v", b, h)
		}
		if _, err := parseHello(b, [32]byte{}, ed25519.Verify); err == nil && string(b) != string(good[1:]) && h.Key == key {
			t.Fatalf("parse %q: a forged signature", b)
		}
	})
}

func FuzzWelcome(f *testing.F) {
	good, _, err := appendWelcome(nil, Welcome{Version: 1, LinkID: newLinkID(), Targets: []TargetInfo{{Name: "web"}}}, maxWelcome)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[1:])
	f.Add([]byte(`{"code":"busy"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := parseWelcome(b); err == nil && (w.LinkID.IsZero() || w.HoldTime < 0 || len(w.Pairing) > maxPairing) {
			t.Fatalf("parse %q: %+v", b, w)
		} else if err == nil {
			again, _, err := appendWelcome(nil, w, maxWelcome)
			if err != nil {
				t.Fatalf("parse %q: %+v, which cannot be written: %v", b, w, err)
			}
			if back, err := parseWelcome(again[1:]); err != nil || back.LinkID != w.LinkID || back.Version != w.Version || back.Received != w.Received || back.Limit != w.Limit || back.Resumed != w.Resumed || string(back.Pairing) != string(w.Pairing) {
				t.Fatalf("parse %q: %+v, and written again %+v, %v", b, w, back, err)
			}
		}
		if err := parseRefuse(b); err == nil {
			t.Fatalf("parse %q: a REFUSE without an error", b)
		}
	})
}

func TestWelcomeLeavesOutTargets(t *testing.T) {
	var many []TargetInfo
	for range 1000 {
		many = append(many, TargetInfo{Name: strings.Repeat("n", 100), Kind: "tcp"})
	}
	b, left, err := appendWelcome(nil, Welcome{Version: 1, LinkID: newLinkID(), Targets: many}, minMessage)
	if err != nil || left == 0 || len(b) > minMessage {
		t.Fatalf("%d bytes, %d left out, %v", len(b), left, err)
	}
	if w, err := parseWelcome(b[1:]); err != nil || len(w.Targets)+left != 1000 {
		t.Errorf("%d targets, %v", len(w.Targets), err)
	}
}
