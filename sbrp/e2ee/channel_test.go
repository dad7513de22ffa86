package e2ee

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"culvert/sbrp"
)

var decryptFailed, sequenceError = &sbrp.Error{Code: sbrp.CodeDecryptFailed}, &sbrp.Error{Code: sbrp.CodeSequenceError}

func mustSeal(t testing.TB, s *Sealer, plaintext string) []byte {
	t.Helper()
	b, err := s.Seal(nil, []byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealAppends(t *testing.T) {
	for _, room := range []int{0, 1, 20, 27, 28, 32, 33, 100} {
		client, daemon := pair(t)
		dst := append(make([]byte, 0, 6+room), "before"...)
		got, err := client.Sealer.Seal(dst, []byte("hello"))
		if err != nil || string(got[:6]) != "before" || len(got) != 6+5+sbrp.MinSealed {
			t.Fatalf("room %d: got %q, %v", room, got, err)
		}
		if alias := &got[0] == &dst[0]; alias != (room >= 5+sbrp.MinSealed) {
			t.Errorf("room %d: same buffer: %v", room, alias)
		}
		plain, err := daemon.Opener.Open([]byte("before"), got[6:])
		if err != nil || string(plain) != "beforehello" {
			t.Errorf("room %d: got %q, %v", room, plain, err)
		}
	}
}

// In place also works, with a copy, when the buffer has no room for the tag.
func TestSealInPlace(t *testing.T) {
	for _, room := range []int{0, 15, 16, 17} {
		client, daemon := pair(t)
		buf := make([]byte, sbrp.HeaderSize+sbrp.NonceSize+5, sbrp.HeaderSize+sbrp.NonceSize+5+room)
		copy(buf[sbrp.HeaderSize+sbrp.NonceSize:], "hello")
		got, err := client.Sealer.Seal(buf[:sbrp.HeaderSize], buf[sbrp.HeaderSize+sbrp.NonceSize:])
		if err != nil {
			t.Fatal(err)
		}
		sealed := got[sbrp.HeaderSize:]
		plain, err := daemon.Opener.Open(sealed[sbrp.NonceSize:sbrp.NonceSize], sealed)
		if err != nil || string(plain) != "hello" || &plain[0] != &sealed[sbrp.NonceSize] {
			t.Errorf("room %d: got %q, %v", room, plain, err)
		}
	}
}

func TestWrongOverlapPanics(t *testing.T) {
	client, daemon := pair(t)
	buf := make([]byte, 200)
	mustPanic(t, "overlap", func() { _, _ = client.Sealer.Seal(buf[:0], buf[:100]) })
	sealed := mustSeal(t, client.Sealer, "some longer message, so that the two overlap")
	mustPanic(t, "overlap", func() { _, _ = daemon.Opener.Open(sealed[:0], sealed) })
}

func TestSealAndOpenDoNotAllocate(t *testing.T) {
	for _, n := range []int{0, 1, 1000, sbrp.MaxPlaintext} {
		client, daemon := pair(t)
		buf := make([]byte, sbrp.MaxFrame)
		source := make([]byte, n)
		for name, run := range map[string]func(){
			"in place": func() {
				sealed, err := client.Sealer.Seal(buf[:sbrp.HeaderSize], buf[sbrp.HeaderSize+sbrp.NonceSize:][:n])
				if err != nil {
					t.Fatal(err)
				}
				sealed = sealed[sbrp.HeaderSize:]
				if _, err := daemon.Opener.Open(sealed[sbrp.NonceSize:sbrp.NonceSize], sealed); err != nil {
					t.Fatal(err)
				}
			},
			"from another buffer": func() {
				sealed, err := client.Sealer.Seal(buf[:sbrp.HeaderSize], source)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := daemon.Opener.Open(source[:0], sealed[sbrp.HeaderSize:]); err != nil {
					t.Fatal(err)
				}
			},
		} {
			if got := testing.AllocsPerRun(50, run); got != 0 {
				t.Errorf("%d bytes %s: %v allocations, want none", n, name, got)
			}
		}
	}
}

// The checks come in the order of section 4: a message that breaks one and every later one is refused for the first.
func TestOpenOrderOfChecks(t *testing.T) {
	client, daemon := pair(t)
	if _, err := daemon.Opener.Open(nil, mustSeal(t, client.Sealer, "seen")); err != nil {
		t.Fatal(err)
	}
	message := func(dir direction, seq uint64, n int) []byte {
		b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(dir)), seq)
		return append(b, make([]byte, n-len(b))...) // a bad tag, always
	}
	for _, tt := range []struct {
		name string
		msg  []byte
		want error
		text string
	}{
		{"empty", nil, decryptFailed, "0 bytes"},
		{"short, wrong direction, replayed", message(daemonToClient, 0, 27), decryptFailed, "27 bytes"},
		{"wrong direction, replayed", message(daemonToClient, 0, 28), decryptFailed, "direction 2"},
		{"no direction", message(0, 0, 28), decryptFailed, "direction 0"},
		{"replayed", message(clientToDaemon, 0, 28), sequenceError, "number 0"},
		{"new", message(clientToDaemon, 1, 28), decryptFailed, "message 1"},
	} {
		got, err := daemon.Opener.Open(nil, tt.msg)
		if !errors.Is(err, tt.want) || !bytes.Contains([]byte(err.Error()), []byte(tt.text)) || got != nil {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
	}
	if high, _ := daemon.Opener.Highest(); high != 0 {
		t.Errorf("refused messages moved the window to %d", high)
	}
}

// Whatever a relay throws in between, every genuine message opens once.
func TestRefusedMessagesChangeNothing(t *testing.T) {
	client, daemon := pair(t)
	for seq := range uint64(300) {
		good := mustSeal(t, client.Sealer, fmt.Sprint(seq))
		for bit := range 8 * len(good) {
			bad := bytes.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			if seq > 3 && bit%37 != 0 {
				continue // all bits of the first few, some of the others
			}
			if plain, err := daemon.Opener.Open(nil, bad); err == nil {
				t.Fatalf("message %d with bit %d flipped opens as %q", seq, bit, plain)
			}
		}
		if plain, err := daemon.Opener.Open(nil, good); err != nil || string(plain) != fmt.Sprint(seq) {
			t.Fatalf("message %d after its forgeries: %q, %v", seq, plain, err)
		}
		if _, err := daemon.Opener.Open(nil, good); !errors.Is(err, sequenceError) {
			t.Fatalf("message %d again: %v", seq, err)
		}
	}
}

// A message cannot be turned round: neither end opens what it sealed itself.
func TestReflectionIsRefused(t *testing.T) {
	client, daemon := pair(t)
	if _, err := client.Opener.Open(nil, mustSeal(t, client.Sealer, "x")); !errors.Is(err, decryptFailed) {
		t.Errorf("client: %v", err)
	}
	if _, err := daemon.Opener.Open(nil, mustSeal(t, daemon.Sealer, "x")); !errors.Is(err, decryptFailed) {
		t.Errorf("daemon: %v", err)
	}
}

func TestReorderedWithinTheWindow(t *testing.T) {
	client, daemon := pair(t)
	var sealed [][]byte
	for range WindowSize + 1 {
		sealed = append(sealed, mustSeal(t, client.Sealer, "x"))
	}
	for i := len(sealed) - 1; i >= 0; i-- {
		_, err := daemon.Opener.Open(nil, sealed[i])
		if i == 0 { // one too old
			if !errors.Is(err, sequenceError) {
				t.Errorf("message 0: %v", err)
			}
		} else if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestWipe(t *testing.T) {
	client, daemon := pair(t)
	sealed := mustSeal(t, client.Sealer, "x")
	for _, s := range []*Session{client, daemon} {
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		s.Wipe()
		s.Wipe()
		if err := s.Check(); err == nil {
			t.Error("a wiped session checks")
		}
	}
	mustPanic(t, "Seal after Wipe", func() { _, _ = client.Sealer.Seal(nil, nil) })
	mustPanic(t, "Open after Wipe", func() { _, _ = daemon.Opener.Open(nil, sealed) })
}

func TestSessionCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(s *Session)
		ok     bool
	}{
		"fresh":          {func(*Session) {}, true},
		"no sealer":      {func(s *Session) { s.Sealer = nil }, false},
		"no opener":      {func(s *Session) { s.Opener = nil }, false},
		"sealer wiped":   {func(s *Session) { s.Sealer.Wipe() }, false},
		"opener wiped":   {func(s *Session) { s.Opener.Wipe() }, false},
		"no transcript":  {func(s *Session) { s.Transcript = [32]byte{} }, false},
		"nearly used up": {func(s *Session) { s.Sealer.next = 1<<64 - 2 }, true},
		"used up":        {func(s *Session) { s.Sealer.next = 1<<64 - 1 }, false},
		"window damaged": {func(s *Session) { s.Opener.window.Mark(9); clear(s.Opener.window.words) }, false},
	} {
		_, s := pair(t)
		tt.damage(s)
		if err := s.Check(); (err == nil) != tt.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, s := pair(t)
	s.Sealer.next = 1<<64 - 1
	if !errors.Is(s.Check(), ErrExhausted) {
		t.Errorf("used up: got %v", s.Check())
	}
}

func FuzzOpen(f *testing.F) {
	vectorHex(f, "testdata/session.json", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, sealed []byte) {
		// these keys are no vector's, so nothing opens
		o := newOpener(bytes.Repeat([]byte{5}, 32), clientToDaemon, WindowSize)
		before := bytes.Clone(sealed)
		plain, err := o.Open(nil, sealed)
		if err == nil {
			t.Fatalf("a forgery opens as %x", plain)
		}
		if !errors.Is(err, decryptFailed) || !bytes.Equal(sealed, before) {
			t.Errorf("got %v", err)
		}
		if _, any := o.Highest(); any {
			t.Error("a forgery moved the window")
		}
		// the genuine message with that sequence number still opens
		if len(sealed) >= sbrp.NonceSize {
			s := newSealer(bytes.Repeat([]byte{5}, 32), clientToDaemon)
			s.next = binary.BigEndian.Uint64(sealed[4:])
			good, err := s.Seal(nil, sealed[:min(len(sealed), sbrp.MaxPlaintext)])
			if err != nil {
				return // exhausted
			}
			if plain, err := o.Open(nil, good); err != nil || !bytes.Equal(plain, sealed[:len(plain)]) {
				t.Errorf("the genuine message: %v", err)
			}
		}
	})
}

func benchSizes(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range []int{64, 1400, 16 << 10, sbrp.MaxPlaintext} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			run(b, n)
		})
	}
}

func BenchmarkSealInPlace(b *testing.B) {
	benchSizes(b, func(b *testing.B, n int) {
		s := newSealer(randomBytes(32), clientToDaemon)
		buf := make([]byte, sbrp.MaxFrame)
		for b.Loop() {
			if _, err := s.Seal(buf[:sbrp.HeaderSize], buf[sbrp.HeaderSize+sbrp.NonceSize:][:n]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSealFromAnotherBuffer(b *testing.B) {
	benchSizes(b, func(b *testing.B, n int) {
		s := newSealer(randomBytes(32), clientToDaemon)
		buf, source := make([]byte, sbrp.MaxFrame), make([]byte, n)
		for b.Loop() {
			if _, err := s.Seal(buf[:sbrp.HeaderSize], source); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBareSeal is the AEAD alone, to compare with.
func BenchmarkBareSeal(b *testing.B) {
	benchSizes(b, func(b *testing.B, n int) {
		aead := newAEAD(randomBytes(32))
		buf, nonce := make([]byte, sbrp.MaxFrame), make([]byte, sbrp.NonceSize)
		for b.Loop() {
			aead.Seal(buf[:0], nonce, buf[:n], nil)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	benchSizes(b, func(b *testing.B, n int) {
		key := randomBytes(32)
		sealed, err := newSealer(key, clientToDaemon).Seal(nil, make([]byte, n))
		if err != nil {
			b.Fatal(err)
		}
		o, buf := newOpener(key, clientToDaemon, WindowSize), make([]byte, 0, n)
		for b.Loop() {
			o.window.any = false // the same message again
			clear(o.window.words)
			if _, err := o.Open(buf, sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBareOpen is the AEAD alone, to compare with.
func BenchmarkBareOpen(b *testing.B) {
	benchSizes(b, func(b *testing.B, n int) {
		aead, nonce := newAEAD(randomBytes(32)), make([]byte, sbrp.NonceSize)
		sealed, buf := aead.Seal(nil, nonce, make([]byte, n), nil), make([]byte, 0, n)
		for b.Loop() {
			if _, err := aead.Open(buf, nonce, sealed, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
