package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"culvert/sbrp/api"
)

func TestRedaction(t *testing.T) {
	const secret = "geheimgeheimgeheim"
	lookup := api.Lookup([]byte("geheimgeheimgehe"))
	for _, v := range []any{
		api.EnrollRequest{APIKey: secret, Name: "shown"},
		api.RegisterRequest{APIKey: secret, Name: "shown"},
		api.RegisterResponse{PresenceToken: secret, Name: "shown"},
		api.PresenceResponse{PresenceToken: secret, RelayURL: "shown"},
		api.SessionResponse{Token: secret, Name: "shown"},
		api.CreateKeyResponse{Key: api.Key{Name: "shown"}, Secret: secret},
		lookup,
		api.PairingRequest{Lookup: lookup, DaemonID: "shown"},
		api.PairingWire{Lookup: lookup, DaemonID: "shown"},
		api.RedeemRequest{Lookup: lookup, Name: "shown"},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
			fmt.Fprintf(&out, verb+"\n", []any{v})
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		got := out.String()
		for _, bad := range []string{secret, fmt.Sprintf("%x", secret[:8]), fmt.Sprintf("%X", secret[:8]), fmt.Sprint([]byte(secret[:8]))[1:20]} {
			if strings.Contains(got, bad) {
				t.Errorf("%T prints its secret: %s", v, got)
			}
		}
		if !strings.Contains(got, "[redacted]") {
			t.Errorf("%T does not say that something is left out: %s", v, got)
		}
		if _, ok := v.(api.Lookup); !ok && !strings.Contains(got, "shown") {
			t.Errorf("%T prints nothing: %s", v, got)
		}
	}
	if got := fmt.Sprint(api.RegisterRequest{}); strings.Contains(got, "redacted") {
		t.Errorf("an empty key looks like one: %s", got)
	}
	// JSON is the wire: there it must stand.
	b, err := json.Marshal(api.EnrollRequest{APIKey: secret})
	if err != nil || !strings.Contains(string(b), secret) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestLookup(t *testing.T) {
	want := api.Lookup{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for text, good := range map[string]bool{
		"AQIDBAUGBwgJCgsMDQ4PEA":           true,
		"0102030405060708090a0b0c0d0e0f10": true,
		"0102030405060708090A0B0C0D0E0F10": true,
		"AQIDBAUGBwgJCgsMDQ4PEA==":         false,
		"AQIDBAUGBwgJCgsMDQ4PEB":           false, // stray bits
		"AQIDBAUGBwgJCgsMDQ4PE":            false,
		"0102030405060708090a0b0c0d0e0f1":  false,
		"0102030405060708090a0b0c0d0e0fzz": false,
		"AQIDBAUGBwgJCgsMDQ4P\nA":          false,
		"":                                 false,
	} {
		l := api.Lookup{9}
		err := l.UnmarshalText([]byte(text))
		if good && (err != nil || l != want) {
			t.Errorf("%q: %v", text, err)
		}
		if !good && (err == nil || l != api.Lookup{9} || len(text) > 0 && strings.Contains(err.Error(), text)) {
			t.Errorf("%q was taken, or changed something: %v", text, err)
		}
	}
	b, err := want.MarshalText()
	if err != nil || string(b) != "AQIDBAUGBwgJCgsMDQ4PEA" {
		t.Errorf("text %s, %v", b, err)
	}
}
