package api_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"culvert/sbrp/api"
)

// FuzzLookup reads the public half of a pairing code: what is taken has two forms and no more, and what is refused changes
// nothing and is not repeated.
func FuzzLookup(f *testing.F) {
	f.Add([]byte("AQIDBAUGBwgJCgsMDQ4PEA"))
	f.Add([]byte("0102030405060708090a0b0c0d0e0f10"))
	f.Add([]byte("AQIDBAUGBwgJCgsMDQ4PE\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := api.Lookup{1, 2, 3}
		if err := l.UnmarshalText(text); err != nil {
			if l != (api.Lookup{1, 2, 3}) || len(text) > 8 && strings.Contains(err.Error(), string(text)) {
				t.Errorf("%q: %v, and lookup %x", text, err, l[:])
			}
			return
		}
		form, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(form, text) && !strings.EqualFold(hex.EncodeToString(l[:]), string(text)) {
			t.Errorf("%q is read as %x, whose form is %q", text, l[:], form)
		}
	})
}

// FuzzNames checks names that the other side has chosen: one of a daemon can stand in a command line, one for people cannot
// rewrite a terminal.
func FuzzNames(f *testing.F) {
	f.Add("laptop-2.home_x")
	f.Add("Zoë’s MacBook")
	f.Add("-rf")
	f.Add("a\u202eb")
	f.Fuzz(func(t *testing.T, name string) {
		plain := name != "" && len(name) <= api.MaxName && !strings.ContainsAny(name[:1], ".-_") &&
			strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == "" &&
			!strings.ContainsFunc(name, func(r rune) bool {
				return r <= ' ' || r > '~' || strings.ContainsRune("/\\'\"$`*?[]{}()<>|&;!#~=%^,+@:", r)
			})
		if err := api.CheckDaemonName(name); (err == nil) != plain {
			t.Errorf("daemon name %q: %v", name, err)
		}
		shown := len(name) <= api.MaxName && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' })
		if err := api.CheckLabel(name); (err == nil) != shown {
			t.Errorf("label %q: %v", name, err)
		}
	})
}
