package mux

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
)

// What a later version adds is ignored, what it changes is refused by its number, which is looked
// at before all else.
func TestLaterHello(t *testing.T) {
	key, sign := testKey(1)
	var transcript [32]byte
	hello := func(fields map[string]any) error {
		all := map[string]any{"version": protocolVersion, "key": key[:], "name": "laptop"}
		maps.Copy(all, fields)
		body, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseHello(append(sign(helloMessage(transcript, body)), body...), transcript, ed25519.Verify)
		return err
	}
	if err := hello(map[string]any{"compress": "zstd", "more": map[string]any{"a": 1}}); err != nil {
		t.Errorf("unknown fields: %v", err)
	}
	for name, tc := range map[string]struct {
		fields map[string]any
		code   Refusal
	}{
		"later version":               {map[string]any{"version": 2}, RefuseVersion},
		"later version, other fields": {map[string]any{"version": 2, "key": map[string]any{"ed448": "x"}, "link": 7}, RefuseVersion},
		"no version":                  {map[string]any{"version": nil}, RefuseInvalid},
		"odd version":                 {map[string]any{"version": "2"}, RefuseInvalid},
		"other fields":                {map[string]any{"link": 7}, RefuseInvalid},
	} {
		if r, ok := errors.AsType[*RefusedError](hello(tc.fields)); !ok || r.Code != tc.code {
			t.Errorf("%s: %v, want %s", name, r, tc.code)
		}
	}
}

func TestLaterWelcome(t *testing.T) {
	id := newLinkID().String()
	w, err := parseWelcome([]byte(`{"version":1,"link":"` + id + `","limit":7,"region":"eu","targets":[{"name":"web","kind":"quic","port":1,"weight":3}]}`))
	if err != nil || w.Limit != 7 || len(w.Targets) != 1 || w.Targets[0].Kind != "quic" {
		t.Errorf("unknown fields, and a kind of target: %+v, %v", w, err)
	}
	_, err = parseWelcome([]byte(`{"version":3,"link":7}`))
	if r, ok := errors.AsType[*RefusedError](err); !ok || r.Code != RefuseVersion || !r.Code.permanent() || !strings.Contains(r.Text, "the client speaks link version 1, the daemon 3") {
		t.Errorf("WELCOME of a later version: %v", err)
	}
}

// A code that is not known is told on, with its text, and is not final.
func TestLaterRefusal(t *testing.T) {
	err := parseRefuse([]byte(`{"code":"quota","text":"come back tomorrow","until":"2030-01-01"}`))
	if r, ok := errors.AsType[*RefusedError](err); !ok || r.Code != "quota" || r.Text != "come back tomorrow" || r.Code.permanent() {
		t.Errorf("REFUSE of a later version: %v", err)
	}
}
