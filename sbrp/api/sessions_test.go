package api_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/api"
)

func raw(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestSessionIDOf(t *testing.T) {
	want := sbrp.SessionID(0x0102030405060708)
	got, err := api.SessionIDOf(raw(`{"sid":"` + want.String() + `"}`))
	if err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{
		"", "x", "..", "a.b", "a.b.c.d", raw(`{}`), raw(`[]`), raw(`null`), raw(`{"sid":7}`), raw(`{"sid":null}`), raw(`{"sid":"AAAAAAAAAAA"}`),
		raw(`{"sid":"AQID"}`), raw(`{"SID":"AQIDBAUGBwg"}`), raw(`{"sid":"AQIDBAUGBwg="}`), strings.Repeat("a", 5000),
		raw(`{"x":"` + strings.Repeat("a", 4096) + `","sid":"AQIDBAUGBwg"}`),
	} {
		if id, err := api.SessionIDOf(bad); err == nil || id != 0 {
			t.Errorf("%.40q gives %v", bad, id)
		} else if len(bad) > 12 && strings.Contains(err.Error(), bad[4:12]) {
			t.Errorf("the error holds the token: %v", err)
		}
	}
}

func FuzzSessionIDOf(f *testing.F) {
	f.Add(raw(`{"sid":"AQIDBAUGBwg"}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := api.SessionIDOf(s); err == nil && id == 0 {
			t.Errorf("%q gives zero", s)
		}
	})
}
