package endpoint_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// sealCases are sections 3 and 4: an endpoint under test and a raw end that computes everything by itself, at the real relay.
func sealCases(s *sbrptest.Suite) {
	for _, rule := range []string{"3.1", "3.2", "3.3", "3.4", "4.1", "4.2"} {
		s.Case(rule, "client", "with a raw daemon", real(rawDaemonTalks))
		s.Case(rule, "daemon", "with a raw client", real(rawClientTalks))
	}
	s.Case("3.5", "daemon", "another key, whose signature is good", real(func(t *testing.T, g *genuine) { otherIdentity(t, g, false) }))
	s.Case("3.5", "daemon", "another key, and a bad signature", real(func(t *testing.T, g *genuine) { otherIdentity(t, g, true) }))
	s.Case("3.6", "daemon", "signatures that do not verify", real(badSignatures))
	s.Case("3.7", "daemon", "ephemeral keys of low order, signed", real(lowOrderDaemon))
	s.Case("3.8", "client", "ephemeral keys of low order", real(lowOrderClient))
	s.Case("3.9", "daemon", "does not answer, 30 s", silentDaemon)
	s.Case("3.9", "daemon", "does not answer, at the real relay", real(closesAfterTimeout))
	s.Case("3.10", "daemon", "cannot write its answers", handshakeTimeoutAtDaemon)
	s.Case("3.11", "client", "closes", real(func(t *testing.T, g *genuine) { keysGo(t, g, sbrp.RoleClient) }))
	s.Case("3.11", "daemon", "closes", real(func(t *testing.T, g *genuine) { keysGo(t, g, sbrp.RoleDaemon) }))
	for _, tt := range []struct {
		rule, name string
		payload    func(t *testing.T, key []byte, direction uint32) []byte
	}{
		{"4.3", "27 bytes", func(*testing.T, []byte, uint32) []byte { return make([]byte, 27) }},
		{"4.3", "nothing", func(*testing.T, []byte, uint32) []byte { return nil }},
		{"4.4", "its own direction", func(t *testing.T, key []byte, d uint32) []byte { return seal(t, key, 3-d, 1, "turned") }},
		{"4.4", "no direction", func(t *testing.T, key []byte, _ uint32) []byte { return seal(t, key, 0, 1, "none") }},
		{"4.5", "another key", func(t *testing.T, _ []byte, d uint32) []byte { return seal(t, make([]byte, 32), d, 1, "forged") }},
		{"4.5", "a bit of the tag", func(t *testing.T, key []byte, d uint32) []byte {
			p := seal(t, key, d, 1, "forged")
			p[len(p)-1] ^= 1
			return p
		}},
	} {
		s.Case(tt.rule, "client", tt.name, real(func(t *testing.T, g *genuine) { forgedBy(t, g, sbrp.RoleClient, tt.payload) }))
		s.Case(tt.rule, "daemon", tt.name, real(func(t *testing.T, g *genuine) { forgedBy(t, g, sbrp.RoleDaemon, tt.payload) }))
	}
	s.Case("4.4", "client", "its own message comes back", reflectedData)
	s.Case("4.5", "relay", "changes a bit of each part, both ways", forgedData)
	s.Case("4.6", "relay", "repeats and reorders every message, both ways", repetitionAndReorder)
	for _, role := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
		s.Case("4.6", role.String(), "repeats a message", real(func(t *testing.T, g *genuine) {
			window(t, g, role, []uint64{0, 0, 1, 0, 1, 2}, []bool{true, false, true, false, false, true})
		}))
		s.Case("4.7", role.String(), "1,023 and 1,024 behind", real(func(t *testing.T, g *genuine) {
			window(t, g, role, []uint64{2000, 977, 976, 977}, []bool{true, true, false, false})
		}))
		s.Case("4.8", role.String(), "every second of 1,024", real(everySecond(role)))
		s.Case("4.11", role.String(), "to 2^63 and to the last", real(func(t *testing.T, g *genuine) {
			window(t, g, role, []uint64{0, 1 << 63, 1<<64 - 2, 1<<64 - 3, 1 << 63}, []bool{true, true, true, true, false})
		}))
	}
	s.Case("4.8", "session", "size of the window", windowSize)
	s.Case("4.9", "session", "two mistakes in one message", orderOfChecks)
	s.Case("4.10", "session", "forged messages far ahead", forgedAhead)
	s.Case("4.12", "client", "at the last number, and a daemon", exhaustion)
}

// rawDaemonTalks: keys, transcript, nonces and seals of a client are what the raw daemon computes.
func rawDaemonTalks(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	c, id, keys := d.session(answer{})
	if c.Transcript() != keys.transcript {
		t.Errorf("transcript %x, want %x", c.Transcript(), keys.transcript)
	}
	for i := range uint64(5) {
		c.send(numbered(int(i)))
		if got := unseal(t, keys.up, 1, i, d.want(sbrp.FrameData).Payload); got != numbered(int(i)) {
			t.Errorf("message %d is %q", i, got)
		}
		d.send(sbrp.FrameData, id, seal(t, keys.down, 2, i, "down "+numbered(int(i))))
		c.want("down " + numbered(int(i)))
	}
}

// rawClientTalks is the same for a daemon; rawClient verifies its signature.
func rawClientTalks(t *testing.T, g *genuine) {
	c := g.rawClient()
	d := pump(t, <-g.accepted)
	if d.Transcript() != c.keys.transcript {
		t.Errorf("transcript %x, want %x", d.Transcript(), c.keys.transcript)
	}
	for i := range uint64(5) {
		c.say(numbered(int(i)))
		d.want(numbered(int(i)))
		d.send("down " + numbered(int(i)))
		if got := unseal(t, c.keys.down, 2, i, c.want(sbrp.FrameData).Payload); got != "down "+numbered(int(i)) {
			t.Errorf("message %d is %q", i, got)
		}
	}
}

// refusedBy has a client dial a daemon that answers wrongly, and returns the dial's error.
func refusedBy(t *testing.T, d *rawDaemon, a answer) error {
	t.Helper()
	result := d.dial(nil)
	id, _, _ := d.accept(a)
	r := <-result
	if r.err == nil {
		_ = r.s.Close("")
		t.Fatal("DialSession succeeded")
	}
	d.wantControl(sbrp.CodeSessionEnded, id)
	return r.err
}

func otherIdentity(t *testing.T, g *genuine, flip bool) {
	d := g.rawDaemon()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = refusedBy(t, d, answer{identity: public, signer: private, flip: flip})
	ic, ok := errors.AsType[*e2ee.IdentityChangedError](err)
	if !ok || !isCode(sbrp.CodeIdentityKeyChanged)(err) || !endpoint.Final(err) {
		t.Fatalf("DialSession = %v, want identity_key_changed", err)
	}
	if !ic.Expected.Equal(d.public()) || !ic.Got.Equal(sbrp.PublicKey(public)) {
		t.Errorf("keys %v", ic)
	}
}

func badSignatures(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"a bit":                         {flip: true},
		"a bit, 96 bytes":               {flip: true, short: true},
		"by another key":                {signer: other},
		"by another key, 96 bytes":      {signer: other, short: true},
		"of a low-order key, and wrong": {eph: make([]byte, 32), flip: true},
	} {
		if err := refusedBy(t, d, a); !isCode(sbrp.CodeHandshakeFailed)(err) || !endpoint.Final(err) {
			t.Errorf("%s: DialSession = %v, want handshake_failed", name, err)
		}
	}
}

// lowOrder are encodings of points whose multiples are few.
func lowOrder(t *testing.T) (keys [][]byte) {
	t.Helper()
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, b)
	}
	return keys
}

func lowOrderDaemon(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	for _, key := range lowOrder(t) {
		if err := refusedBy(t, d, answer{eph: key}); !isCode(sbrp.CodeHandshakeFailed)(err) {
			t.Errorf("%x: DialSession = %v, want handshake_failed", key, err)
		}
	}
}

func lowOrderClient(t *testing.T, g *genuine) {
	keys := lowOrder(t)
	for _, key := range keys {
		id := sbrp.NewSessionID()
		c := g.peer(sbrptest.ClientToken(daemonID, id))
		c.send(sbrp.FrameHandshakeInit, id, key)
		c.wantControl(sbrp.CodeSessionExpired, id)
	}
	if n := g.daemon.Stats(); n.Sessions != 0 || n.Handshakes != 0 || n.HandshakesRefused != uint64(len(keys)) {
		t.Errorf("got %+v", n)
	}
}

func silentDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		drop(r.relay)
		begun := time.Now()
		c := r.client()
		c.Token = sbrptest.ClientToken(daemonID, 7)
		_, err := endpoint.DialSession(t.Context(), c)
		if d := time.Since(begun); !isCode(sbrp.CodeHandshakeTimeout)(err) || d != 30*time.Second || endpoint.Final(err) {
			t.Errorf("DialSession = %v after %v, want handshake_timeout after 30 s", err, d)
		}
		synctest.Wait()
		if r.relay.Holds(7) {
			t.Error("the WebSocket is still open")
		}
	})
}

func closesAfterTimeout(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	result := d.dial(func(c *endpoint.ClientConfig) { c.HandshakeTimeout = 50 * time.Millisecond })
	id := d.want(sbrp.FrameHandshakeInit).SessionID
	if r := <-result; !isCode(sbrp.CodeHandshakeTimeout)(r.err) {
		t.Errorf("DialSession = %v, want handshake_timeout", r.err)
	}
	d.wantControl(sbrp.CodeSessionEnded, id)
}

func keysGo(t *testing.T, g *genuine, who sbrp.Role) {
	x := g.dial()
	if x.client.Wiped() || x.daemon.Wiped() {
		t.Fatal("no keys to begin with")
	}
	if who == sbrp.RoleClient {
		_ = x.client.Close("")
	} else {
		_ = x.daemon.Close("")
	}
	x.client.wantEnd()
	x.daemon.wantEnd()
	_, _ = x.client.Close(""), x.daemon.Close("") // frees what an ended session holds
	if !x.client.Wiped() || !x.daemon.Wiped() {
		t.Errorf("keys are still there: client %v, daemon %v", !x.client.Wiped(), !x.daemon.Wiped())
	}
}

// rawTo is a raw end's way to the end under test.
type rawTo struct {
	under *end
	key   []byte
	dir   uint32
	data  func(payload []byte)
}

// toward returns a session in which the raw end speaks to an end of that role.
func toward(g *genuine, role sbrp.Role) rawTo {
	g.t.Helper()
	if role == sbrp.RoleClient {
		d := g.rawDaemon()
		c, id, keys := d.session(answer{})
		return rawTo{c, keys.down, 2, func(p []byte) { d.send(sbrp.FrameData, id, p) }}
	}
	c := g.rawClient()
	return rawTo{pump(g.t, <-g.accepted), c.keys.up, 1, func(p []byte) { c.send(sbrp.FrameData, c.id, p) }}
}

func forgedBy(t *testing.T, g *genuine, role sbrp.Role, payload func(*testing.T, []byte, uint32) []byte) {
	r := toward(g, role)
	r.data(seal(t, r.key, r.dir, 0, "genuine"))
	r.under.want("genuine")
	r.data(payload(t, r.key, r.dir))
	r.under.wantCode(sbrp.CodeDecryptFailed)
	g.dial().talk("another session")
}

// window sends sealed messages with these numbers to an end and looks which of them arrive; none ends the session.
func window(t *testing.T, g *genuine, role sbrp.Role, numbers []uint64, taken []bool) {
	r := toward(g, role)
	dropped := uint64(0)
	for i, seq := range numbers {
		text := fmt.Sprintf("%d with the number %d", i, seq)
		r.data(seal(t, r.key, r.dir, seq, text))
		if taken[i] {
			r.under.want(text)
		} else {
			dropped++
		}
	}
	g.until("the others to be dropped", func() bool { return r.under.Session.Stats().Replayed == dropped })
	if err := r.under.Err(); err != nil {
		t.Errorf("session ended: %v", err)
	}
}

// everySecond leaves out every second number on the way up, and sends it on the way down.
func everySecond(role sbrp.Role) func(*testing.T, *genuine) {
	return func(t *testing.T, g *genuine) {
		var numbers []uint64
		var taken []bool
		for i := uint64(0); i < 1024; i += 2 {
			numbers, taken = append(numbers, i), append(taken, true)
		}
		for i := uint64(1); i < 1024; i += 2 {
			numbers, taken = append(numbers, i), append(taken, true)
		}
		window(t, g, role, numbers, taken)
	}
}

// both returns the two ends of a session of package e2ee.
func both(t *testing.T) (client, daemon *e2ee.Session) {
	t.Helper()
	id := e2ee.GenerateIdentity()
	i := e2ee.NewInitiator(daemonID, id.PublicKey())
	init := i.Init()
	accept, daemon, err := e2ee.Respond(id, daemonID, init[:], e2ee.LayoutFull)
	if err != nil {
		t.Fatal(err)
	}
	if client, err = i.Finish(accept); err != nil {
		t.Fatal(err)
	}
	return client, daemon
}

func windowSize(t *testing.T) {
	if e2ee.WindowSize != 1024 || e2ee.WindowSize < 128 {
		t.Errorf("the window spans %d", e2ee.WindowSize)
	}
}

func sealedBy(t *testing.T, s *e2ee.Session) []byte {
	t.Helper()
	p, err := s.Sealer.Seal(nil, []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// orderOfChecks opens messages that are wrong in two ways, where the codes tell which check came first.
func orderOfChecks(t *testing.T) {
	client, daemon := both(t)
	first := sealedBy(t, client)
	if _, err := daemon.Opener.Open(nil, first); err != nil {
		t.Fatal(err)
	}
	turned := append([]byte(nil), first...)
	turned[3] = 2
	damaged := append([]byte(nil), first...)
	damaged[len(damaged)-1] ^= 1
	for _, tt := range []struct {
		name   string
		sealed []byte
		code   sbrp.Code
	}{
		{"short and replayed", first[:27], sbrp.CodeDecryptFailed},
		{"wrong direction and replayed", turned, sbrp.CodeDecryptFailed},
		{"replayed and damaged", damaged, sbrp.CodeSequenceError},
		{"replayed", first, sbrp.CodeSequenceError},
	} {
		if _, err := daemon.Opener.Open(nil, tt.sealed); !isCode(tt.code)(err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.code)
		}
	}
}

// forgedAhead: messages that do not authenticate push nothing out of the window.
func forgedAhead(t *testing.T) {
	client, daemon := both(t)
	genuine := sealedBy(t, client)
	for _, seq := range []uint64{5000, 1 << 40, 1<<64 - 2} {
		if _, err := daemon.Opener.Open(nil, seal(t, make([]byte, 32), 1, seq, "forged")); !isCode(sbrp.CodeDecryptFailed)(err) {
			t.Errorf("forged message %d: %v, want decrypt_failed", seq, err)
		}
	}
	if _, err := daemon.Opener.Open(nil, genuine); err != nil {
		t.Errorf("the genuine message: %v", err)
	}
	if _, err := daemon.Opener.Open(nil, sealedBy(t, client)); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
