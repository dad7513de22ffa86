package e2ee

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"golang.org/x/crypto/chacha20poly1305"

	"culvert/sbrp"
)

const testDaemon = "d_abc123"

// pair runs a whole handshake.
func pair(t testing.TB) (client, daemon *Session) {
	t.Helper()
	id := GenerateIdentity()
	i := NewInitiator(testDaemon, id.PublicKey())
	init := i.Init()
	accept, daemon, err := Respond(id, testDaemon, init[:], LayoutFull)
	if err != nil {
		t.Fatal(err)
	}
	client, err = i.Finish(accept)
	if err != nil {
		t.Fatal(err)
	}
	return client, daemon
}

// byHand is the handshake of section 3 a second time: the standard library's primitives, the section's five lines, none of this package's code.
type byHand struct {
	sigPayload, transcript [32]byte
	signature, c2d, d2c    []byte
}

func handCalculate(t *testing.T, identity ed25519.PrivateKey, daemonID string, client, daemon *ecdh.PrivateKey) (h byHand) {
	t.Helper()
	c, d := client.PublicKey().Bytes(), daemon.PublicKey().Bytes()
	h.sigPayload = sha256.Sum256([]byte("sbrp-v1-handshake" + daemonID + string(c) + string(d)))
	h.signature = ed25519.Sign(identity, h.sigPayload[:])
	h.transcript = sha256.Sum256([]byte("sbrp-v1-transcript" + daemonID + string(c) + string(d) + string(h.signature)))
	shared, err := daemon.ECDH(client.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(key []byte, parts ...[]byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(slices.Concat(parts...))
		return m.Sum(nil)
	}
	prk := mac(h.transcript[:], shared) // RFC 5869: extract with the salt as key, then expand two blocks
	h.c2d = mac(prk, []byte("sbrp-session-keys"), []byte{1})
	h.d2c = mac(prk, h.c2d, []byte("sbrp-session-keys"), []byte{2})
	return h
}

func TestHandshakeAgainstHandCalculation(t *testing.T) {
	for _, daemonID := range []string{"", "d", testDaemon, "dämon-日本", strings.Repeat("x", 1000)} {
		_, private, _ := ed25519.GenerateKey(nil)
		id := identity(t, private.Seed())
		client, daemon := newEphemeral(), newEphemeral()
		h := handCalculate(t, private, daemonID, client, daemon)

		i := newInitiator(daemonID, id.PublicKey(), client)
		init := i.Init()
		accept, s, err := respond(id, daemonID, init[:], LayoutFull, daemon)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Concat(private.Public().(ed25519.PublicKey), daemon.PublicKey().Bytes(), h.signature)
		if !bytes.Equal(init[:], client.PublicKey().Bytes()) || !bytes.Equal(accept, want) {
			t.Errorf("%.10q: got accept %x, want %x", daemonID, accept, want)
		}
		c, err := i.Finish(accept)
		if err != nil || c.Transcript != h.transcript || s.Transcript != h.transcript {
			t.Fatalf("%.10q: got transcript %x, %v; want %x", daemonID, c.Transcript, err, h.transcript)
		}
		sealsLike(t, c.Sealer, h.c2d, 1)
		sealsLike(t, s.Sealer, h.d2c, 2)
	}
}

// sealsLike compares a Sealer with the bare AEAD and a nonce written by hand.
func sealsLike(t *testing.T, s *Sealer, key []byte, dir uint32) {
	t.Helper()
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(3) {
		nonce := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, dir), seq)
		want := aead.Seal(bytes.Clone(nonce), nonce, []byte("plaintext"), nil)
		if got, err := s.Seal(nil, []byte("plaintext")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("message %d: got %x, %v; want %x", seq, got, err, want)
		}
	}
}

// Two handshakes with the same random source are the same, so nothing comes from anywhere else.
func TestHandshakeIsDeterministicButForItsRandomSource(t *testing.T) {
	id := identity(t, bytes.Repeat([]byte{7}, 32))
	run := func(seed uint64) (init [32]byte, accept []byte, transcript [32]byte) {
		t.Run("", func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			i := NewInitiator(testDaemon, id.PublicKey())
			init = i.Init()
			var err error
			accept, _, err = Respond(id, testDaemon, init[:], LayoutFull)
			if err != nil {
				t.Fatal(err)
			}
			s, err := i.Finish(accept)
			if err != nil {
				t.Fatal(err)
			}
			transcript = s.Transcript
		})
		return init, accept, transcript
	}
	init1, accept1, transcript1 := run(1)
	init2, accept2, transcript2 := run(1)
	if init1 != init2 || !bytes.Equal(accept1, accept2) || transcript1 != transcript2 {
		t.Error("the same random source gave two handshakes")
	}
	init3, accept3, transcript3 := run(2)
	if init1 == init3 || bytes.Equal(accept1, accept3) || transcript1 == transcript3 {
		t.Error("another random source gave the same handshake")
	}
}

func TestEveryHandshakeHasItsOwnKeys(t *testing.T) {
	a, _ := pair(t)
	_, b := pair(t)
	sealed, err := a.Sealer.Seal(nil, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Opener.Open(nil, sealed); !errors.Is(err, &sbrp.Error{Code: sbrp.CodeDecryptFailed}) {
		t.Errorf("another session opened it: %v", err)
	}
	if a.Transcript == b.Transcript {
		t.Error("two handshakes have one transcript")
	}
}

// Every bit of HandshakeAccept counts.
func TestFinishRefusesEveryFlippedBit(t *testing.T) {
	id := GenerateIdentity()
	for _, layout := range []Layout{LayoutFull, LayoutShort} {
		eph := newEphemeral()
		init := eph.PublicKey().Bytes()
		accept, _, err := Respond(id, testDaemon, init, layout)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(accept) {
			bad := bytes.Clone(accept)
			bad[bit/8] ^= 1 << (bit % 8)
			want := sbrp.CodeHandshakeFailed
			if layout == LayoutFull && bit/8 < sbrp.KeySize {
				want = sbrp.CodeIdentityKeyChanged
			}
			s, err := newInitiator(testDaemon, id.PublicKey(), eph).Finish(bad)
			if got, _ := sbrp.CodeOf(err); got != want || s != nil {
				t.Fatalf("layout %v, bit %d: got %v, want %v", layout, bit, err, want)
			}
		}
		if _, err := newInitiator(testDaemon, id.PublicKey(), eph).Finish(accept); err != nil {
			t.Errorf("the untouched accept: %v", err)
		}
	}
}

func TestFinishOfEveryLength(t *testing.T) {
	id := GenerateIdentity()
	eph := newEphemeral()
	full, _, err := Respond(id, testDaemon, eph.PublicKey().Bytes(), LayoutFull)
	if err != nil {
		t.Fatal(err)
	}
	long := append(bytes.Clone(full), full...)
	for n := range long {
		_, err := newInitiator(testDaemon, id.PublicKey(), eph).Finish(long[:n])
		if n == sbrp.AcceptSize {
			if err != nil {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		}
		wantCode(t, "Finish", err, "handshake_failed")
	}
}

func TestIdentityChangedError(t *testing.T) {
	pin, id := GenerateIdentity().PublicKey(), GenerateIdentity()
	i := NewInitiator(testDaemon, pin)
	init := i.Init()
	accept, _, err := Respond(id, testDaemon, init[:], LayoutFull)
	if err != nil {
		t.Fatal(err)
	}
	_, err = i.Finish(accept)
	e, ok := errors.AsType[*IdentityChangedError](err)
	if !ok || e.Expected != pin || e.Got != id.PublicKey() {
		t.Fatalf("got %v, want both keys", err)
	}
	if !errors.Is(err, &sbrp.Error{Code: sbrp.CodeIdentityKeyChanged}) {
		t.Error("it wraps no *sbrp.Error with identity_key_changed")
	}
	for _, want := range []string{"identity_key_changed", pin.Fingerprint().String(), id.PublicKey().Fingerprint().String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not hold %s", err, want)
		}
	}
}

// A man in the middle who speaks the older layout, to avoid naming a key, is found out by the signature.
func TestShortLayoutGivesNoWayAroundThePin(t *testing.T) {
	mallory := GenerateIdentity()
	i := NewInitiator(testDaemon, GenerateIdentity().PublicKey())
	init := i.Init()
	accept, _, err := Respond(mallory, testDaemon, init[:], LayoutShort)
	if err != nil {
		t.Fatal(err)
	}
	_, err = i.Finish(accept)
	wantCode(t, "Finish", err, "handshake_failed")
}

func TestHandshakePanicsOnOurOwnMistakes(t *testing.T) {
	id := GenerateIdentity()
	i := NewInitiator(testDaemon, id.PublicKey())
	if _, err := i.Finish(nil); err == nil {
		t.Error("an empty accept was taken")
	}
	mustPanic(t, "Finish after Finish", func() { _, _ = i.Finish(nil) })
	j := NewInitiator(testDaemon, id.PublicKey())
	j.Wipe()
	j.Wipe()
	mustPanic(t, "Finish after Finish or Wipe", func() { _, _ = j.Finish(nil) })
	init := j.Init() // its public half is still there
	mustPanic(t, "layout 2", func() { _, _, _ = Respond(id, testDaemon, init[:], Layout(2)) })
	if LayoutFull.String() != "128" || LayoutShort.String() != "96" {
		t.Errorf("layouts print as %v, %v", LayoutFull, LayoutShort)
	}
}

func FuzzFinish(f *testing.F) {
	id, eph := identity(f, bytes.Repeat([]byte{1}, 32)), ephemeral(f, bytes.Repeat([]byte{2}, 32))
	for _, layout := range []Layout{LayoutFull, LayoutShort} {
		accept, _, err := respond(id, testDaemon, eph.PublicKey().Bytes(), layout, ephemeral(f, bytes.Repeat([]byte{3}, 32)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(accept, testDaemon)
		f.Add(accept, "other")
	}
	vectorHex(f, "testdata/handshake.json", func(b []byte) { f.Add(b, testDaemon) })
	f.Fuzz(func(t *testing.T, accept []byte, daemonID string) {
		before := bytes.Clone(accept)
		s, err := newInitiator(daemonID, id.PublicKey(), eph).Finish(accept)
		if !bytes.Equal(before, accept) {
			t.Error("the accept was changed")
		}
		if err != nil {
			if c, _ := sbrp.CodeOf(err); c != sbrp.CodeHandshakeFailed && c != sbrp.CodeIdentityKeyChanged || s != nil {
				t.Errorf("got %v", err)
			}
			return
		}
		// Nobody but the daemon makes an accept: it verifies by hand.
		body := accept[len(accept)-sbrp.AcceptSizeShort:]
		payload := sha256.Sum256([]byte("sbrp-v1-handshake" + daemonID + string(eph.PublicKey().Bytes()) + string(body[:32])))
		if !ed25519.Verify(id.Public().(ed25519.PublicKey), payload[:], body[32:]) {
			t.Error("accepted without a signature")
		}
	})
}

func FuzzRespond(f *testing.F) {
	id := identity(f, bytes.Repeat([]byte{1}, 32))
	f.Add(bytes.Repeat([]byte{9}, 32), testDaemon)
	vectorHex(f, "testdata/handshake.json", func(b []byte) { f.Add(b, testDaemon) })
	f.Fuzz(func(t *testing.T, init []byte, daemonID string) {
		before := bytes.Clone(init)
		accept, s, err := Respond(id, daemonID, init, LayoutFull)
		if !bytes.Equal(before, init) {
			t.Error("the init was changed")
		}
		if err != nil {
			if c, _ := sbrp.CodeOf(err); c != sbrp.CodeHandshakeFailed || s != nil || accept != nil {
				t.Errorf("got %v", err)
			}
			return
		}
		if len(accept) != sbrp.AcceptSize || len(init) != sbrp.InitSize || s.Check() != nil {
			t.Errorf("an accept of %d bytes for an init of %d", len(accept), len(init))
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	id := GenerateIdentity()
	b.ReportAllocs()
	for b.Loop() {
		i := NewInitiator(testDaemon, id.PublicKey())
		init := i.Init()
		accept, _, err := Respond(id, testDaemon, init[:], LayoutFull)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := i.Finish(accept); err != nil {
			b.Fatal(err)
		}
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
