package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Every way in which a value can get into a text, a log or a document.
func TestSecretsPrintRedacted(t *testing.T) {
	const text = "cvk_abc_verysecret"
	psk := PSK(bytes.Repeat([]byte{0xA7}, 32))
	pairing := Pairing{PSK: psk, Lookup: [16]byte{1}}
	leaks := []string{text, "verysecret", "a7a7", "A7A7", "167", "0xa7", "p6en"} // the PSK in hex, decimal, base64
	values := map[string]any{
		"Secret": NewSecret(text), "*Secret": new(NewSecret(text)),
		"PSK": psk, "*PSK": &psk, "Pairing": pairing, "*Pairing": &pairing,
		"struct": struct{ S Secret }{NewSecret(text)}, "slice": []PSK{psk}, "map": map[string]Secret{"k": NewSecret(text)},
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%U", "%c"} {
			got := fmt.Sprintf(verb, v)
			for _, leak := range leaks {
				if strings.Contains(got, leak) {
					t.Errorf("%s under %s prints %q", name, verb, got)
				}
			}
		}
		var b bytes.Buffer
		timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // its digits may be those of a leak
			}
			return a
		}}
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, timeless), slog.NewJSONHandler(&b, timeless)} {
			slog.New(h).Info("x", "value", v)
		}
		doc, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, leak := range leaks[:5] {
			if strings.Contains(b.String(), leak) || bytes.Contains(doc, []byte(leak)) {
				t.Errorf("%s leaks into a log (%s) or JSON (%s)", name, b.String(), doc)
			}
		}
	}
	// Where fmt may call no method it prints an address, which may have any digits.
	for _, v := range []any{struct{ s Secret }{NewSecret(text)}, struct{ s *Secret }{new(NewSecret(text))}, []any{struct{ s Secret }{NewSecret(text)}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "verysecret") || strings.Contains(got, fmt.Sprintf("%x", "verysecret")) {
				t.Errorf("%T under %s prints %q", v, verb, got)
			}
		}
	}
	if NewSecret(text).Reveal() != text || NewSecret("").IsZero() == false {
		t.Error("Reveal or IsZero is wrong")
	}
	if got := NewSecret(text).String() + psk.String(); got != "[redacted][redacted]" {
		t.Errorf("String = %q", got)
	}
}

func TestReadSecret(t *testing.T) {
	for _, in := range []string{"key", "key\n", "  key \r\n", "\nkey\n\n"} {
		s, err := ReadSecret(strings.NewReader(in))
		if err != nil || s.Reveal() != "key" {
			t.Errorf("ReadSecret(%q) = %q, %v", in, s.Reveal(), err)
		}
	}
	for in, want := range map[string]string{
		"":                             "empty",
		" \n ":                         "empty",
		"hunter2\nsecond":              "more than one line",
		strings.Repeat("hunter2", 999): "right file",
	} {
		_, err := ReadSecret(strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadSecret(%d bytes): %v, want %q", len(in), err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	if _, err := ReadSecret(badReader{}); !errors.Is(err, errBad) {
		t.Errorf("broken reader: %v", err)
	}
}

var errBad = errors.New("bad")

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errBad }

func TestReadSecretFile(t *testing.T) {
	p := filepath.Join(t.TempDir(), "key")
	if _, err := ReadSecretFile(p); err == nil {
		t.Error("missing file was read")
	}
	writeFile(t, p, "abc\n", 0o600)
	if s, err := ReadSecretFile(p); err != nil || s.Reveal() != "abc" {
		t.Errorf("ReadSecretFile: %v", err)
	}
	if runtime.GOOS != "windows" {
		chmod(t, p, 0o644)
		if _, err := ReadSecretFile(p); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("readable by others: %v", err)
		}
	}
	writeFile(t, p, "", 0o600)
	chmod(t, p, 0o600)
	if _, err := ReadSecretFile(p); err == nil || !strings.Contains(err.Error(), p) {
		t.Errorf("empty file: %v, want an error that names it", err)
	}
}
