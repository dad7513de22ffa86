package sbrp

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func testKey(t *testing.T) PublicKey {
	t.Helper()
	// a key whose base64 has both letters in which the alphabets differ
	for i := range 10_000 {
		seed := make([]byte, ed25519.SeedSize)
		seed[0], seed[1] = byte(i), byte(i>>8)
		k := PublicKey(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
		if s := k.String(); strings.Contains(s, "-") && strings.Contains(s, "_") {
			return k
		}
	}
	t.Fatal("no such key")
	return PublicKey{}
}

func TestPublicKeyText(t *testing.T) {
	k := testKey(t)
	if len(k.String()) != 43 || strings.ContainsAny(k.String(), "+/=") {
		t.Errorf("String: got %q, want base64url without padding", k)
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		got, err := ParsePublicKey(enc.EncodeToString(k[:]))
		if err != nil || got != k {
			t.Errorf("%s: got %v, %v", enc.EncodeToString(k[:]), got, err)
		}
	}
	type doc struct{ Key PublicKey }
	b, err := json.Marshal(doc{k})
	if err != nil || string(b) != `{"Key":"`+k.String()+`"}` {
		t.Errorf("JSON: got %s, %v", b, err)
	}
	var back doc
	if err := json.Unmarshal(b, &back); err != nil || back.Key != k {
		t.Errorf("JSON: got %v, %v", back, err)
	}
	if !k.Equal(back.Key) || k.Equal(PublicKey{}) || k.IsZero() || !(PublicKey{}).IsZero() {
		t.Error("Equal or IsZero is wrong")
	}
}

func TestPublicKeyTextIsStrict(t *testing.T) {
	s := testKey(t).String()
	mixed := strings.Replace(s, "-", "+", 1)
	for _, bad := range []string{
		"", "A", s[:42], s + "A", s + "==", s + "=A", " " + s, s + " ", s + "\n", s[:20] + "\n" + s[20:42], s[:20] + "\n" + s[20:],
		s[:42] + "=", mixed, strings.Repeat("!", 43), s[:42] + "B", strings.Repeat("A", 86), "SHA256:" + s,
	} {
		var k PublicKey
		err := k.UnmarshalText([]byte(bad))
		if err == nil || !k.IsZero() {
			t.Errorf("%q: got %v, want an error", bad, k)
		} else if len(bad) > 20 && strings.Contains(err.Error(), bad[:20]) {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}

func TestFingerprintText(t *testing.T) {
	f := testKey(t).Fingerprint()
	s := f.String()
	bare := strings.TrimPrefix(s, "SHA256:")
	plain := strings.ReplaceAll(bare, ":", "")
	for _, good := range []string{s, bare, plain, "SHA256:" + plain, "sha256:" + plain, strings.ToLower(s), strings.ToLower(plain), " " + s + "\n"} {
		got, err := ParseFingerprint(good)
		if err != nil || got != f {
			t.Errorf("%q: got %v, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "SHA256:", f.Short(), s[:len(s)-1], s + ":", s + "0", "MD5:" + bare, strings.Replace(s, ":", "", 5), strings.ReplaceAll(bare, ":", "-"),
		"SHA256:SHA256:" + bare, plain[:63], plain + "0", strings.Replace(plain, plain[:1], "g", 1), bare[:94] + ":", ":" + bare[:94],
		strings.Replace(bare, ":", " ", 1), "SHA256 " + bare,
	} {
		var f Fingerprint
		if err := f.UnmarshalText([]byte(bad)); err == nil || f != (Fingerprint{}) {
			t.Errorf("%q: got %v, want an error", bad, f)
		}
	}
	if got, want := f.Short(), bare[:23]; got != want {
		t.Errorf("Short: got %s, want %s", got, want)
	}
	b, err := json.Marshal(f)
	if err != nil || string(b) != `"`+s+`"` {
		t.Errorf("JSON: got %s, %v", b, err)
	}
	var back Fingerprint
	if err := json.Unmarshal(b, &back); err != nil || !back.Equal(f) || back.Equal(Fingerprint{}) {
		t.Errorf("JSON: got %v, %v", back, err)
	}
}

func TestCheckDaemonID(t *testing.T) {
	for _, good := range []string{"d", "d_abc123", "0190d6f0-4e5b-7000-8000-000000000000", strings.Repeat("x", MaxDaemonID), "!~"} {
		if err := CheckDaemonID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxDaemonID+1), "a b", "a\n", "\x00", "dämon", "a\x7f", "\ufeffd", "a\xff"} {
		if err := CheckDaemonID(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestSessionIDText(t *testing.T) {
	for _, tt := range []struct {
		id   SessionID
		want string
	}{
		{1, "AAAAAAAAAAE"},
		{1<<64 - 1, "__________8"},
		{0x0102030405060708, "AQIDBAUGBwg"},
	} {
		if got := tt.id.String(); got != tt.want {
			t.Errorf("%d: got %s, want %s", uint64(tt.id), got, tt.want)
		}
		b, err := json.Marshal(tt.id)
		var back SessionID
		if err != nil || json.Unmarshal(b, &back) != nil || back != tt.id {
			t.Errorf("%d: JSON %s gives %d", uint64(tt.id), b, uint64(back))
		}
	}
	for _, bad := range []string{
		"", "AAAAAAAAAAA", "AAAAAAAAAAF", "AAAAAAAAAAE=", "AAAAAAAAAA", "AAAAAAAAAAEA", "//////////8", "AAAAAAAAAA\n", "\nAAAAAAAAAAE", "72623859790382856",
	} {
		if id, err := ParseSessionID(bad); err == nil {
			t.Errorf("%q: got %d, want an error", bad, uint64(id))
		}
		if id := SessionID(7); id.UnmarshalText([]byte(bad)) == nil || id != 7 {
			t.Errorf("%q: UnmarshalText gave %d", bad, uint64(id))
		}
	}
}

func TestNewSessionID(t *testing.T) {
	seen := map[SessionID]bool{}
	for range 1000 {
		id := NewSessionID()
		if id == 0 || seen[id] {
			t.Fatalf("got %d again, or zero", uint64(id))
		}
		seen[id] = true
	}
}

func ExamplePublicKey_Fingerprint() {
	var k PublicKey
	fmt.Println(k.Fingerprint().Short())
	// Output: 66:68:7A:AD:F8:62:BD:77
}
