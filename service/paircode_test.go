package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"culvert/config"
	"culvert/sbrp"
)

func TestPairCodeRoundTrip(t *testing.T) {
	for range 200 {
		s := newPairSecret()
		code := s.code()
		if got := strings.Count(code, "-"); got != 5 || len(code) != 32 {
			t.Fatalf("code %q: want 27 letters in groups of five", code)
		}
		for _, typed := range []string{
			code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""),
			" " + strings.ReplaceAll(code, "-", " ") + "\n",
			strings.NewReplacer("0", "o", "1", "l").Replace(code),
		} {
			got, err := parsePairCode(typed)
			if err != nil || got != s {
				t.Fatalf("parsePairCode(%q): %v", typed, err)
			}
		}
	}
}

// Every single wrong letter and every swap of neighbours is found, wherever it stands.
func TestPairCodeCheckLetter(t *testing.T) {
	code := strings.ReplaceAll(newPairSecret().code(), "-", "")
	for i := range code {
		for _, c := range crockford {
			if byte(c) == code[i] {
				continue
			}
			typed := code[:i] + string(c) + code[i+1:]
			if _, err := parsePairCode(typed); !errors.Is(err, errCodeCheck) {
				t.Errorf("letter %d changed to %c: got %v, want %v", i, c, err, errCodeCheck)
			}
		}
		if i+1 < len(code) && code[i] != code[i+1] {
			typed := code[:i] + string(code[i+1]) + string(code[i]) + code[i+2:]
			if _, err := parsePairCode(typed); !errors.Is(err, errCodeCheck) {
				t.Errorf("letters %d and %d swapped: got %v, want %v", i, i+1, err, errCodeCheck)
			}
		}
	}
}

func TestPairCodeForm(t *testing.T) {
	code := newPairSecret().code()
	for _, typed := range []string{"", "-", "laptop", code[:len(code)-1], code + "7", "U" + code[1:], strings.Repeat("é", 27)} {
		_, err := parsePairCode(typed)
		if !errors.Is(err, errCodeForm) {
			t.Errorf("parsePairCode(%q) = %v, want %v", typed, err, errCodeForm)
		}
	}
}

func TestPairSecretIsRedacted(t *testing.T) {
	s := newPairSecret()
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%q", "%d"} {
		for _, v := range []any{s, &s, struct{ S pairSecret }{s}} {
			if got := fmt.Sprintf(verb, v); !strings.Contains(got, "redacted") {
				t.Errorf("%s of %T prints %q", verb, v, got)
			}
		}
	}
}

// What holds secrets for a while tells none of them, whoever prints it.
func TestOptionsAreRedacted(t *testing.T) {
	const text = "cvk_id_verysecret"
	psk := config.PSK(bytes.Repeat([]byte{0xA7}, 32))
	leaks := []string{"verysecret", "a7a7", "A7A7", "167 167", "167,167", "0xa7", "p6en"}
	for _, v := range []any{
		LoginOptions{APIKey: config.NewSecret(text)}, &LoginOptions{APIKey: config.NewSecret(text)},
		pairing{psk: psk}, &pairing{psk: psk}, []pairing{{psk: psk}}, map[string]any{"p": pairing{psk: psk}},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", v)
		if o, ok := v.(LoginOptions); ok {
			b, err := json.Marshal(o.APIKey)
			if err != nil {
				t.Error(err)
			}
			out.Write(b)
		}
		for _, leak := range leaks {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%T leaks %s: %s", v, leak, out.String())
			}
		}
	}
}

// The proof depends on each of its parts, and the two roles' proofs differ.
func TestPairProof(t *testing.T) {
	_, psk := newPairSecret().derive()
	_, other := newPairSecret().derive()
	var transcript, transcript2 [32]byte
	transcript2[31] = 1
	client, daemon := sbrp.PublicKey{1}, sbrp.PublicKey{2}
	proof := pairProof(psk, sbrp.RoleClient, transcript, client, daemon)
	if !checkPairProof(psk, sbrp.RoleClient, transcript, client, daemon, proof) {
		t.Fatal("a good proof was refused")
	}
	for name, ok := range map[string]bool{
		"other psk":        checkPairProof(other, sbrp.RoleClient, transcript, client, daemon, proof),
		"other role":       checkPairProof(psk, sbrp.RoleDaemon, transcript, client, daemon, proof),
		"other transcript": checkPairProof(psk, sbrp.RoleClient, transcript2, client, daemon, proof),
		"keys swapped":     checkPairProof(psk, sbrp.RoleClient, transcript, daemon, client, proof),
		"short":            checkPairProof(psk, sbrp.RoleClient, transcript, client, daemon, proof[:31]),
		"empty":            checkPairProof(psk, sbrp.RoleClient, transcript, client, daemon, nil),
	} {
		if ok {
			t.Errorf("a proof with %s was accepted", name)
		}
	}
}

func FuzzParsePairCode(f *testing.F) {
	f.Add(newPairSecret().code())
	f.Add("00000-00000-00000-00000-00000-00")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parsePairCode(text)
		if err != nil {
			return
		}
		again, err := parsePairCode(s.code())
		if err != nil || again != s {
			t.Fatalf("%q parses, but its own code does not: %v", text, err)
		}
	})
}
