package sbrp

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestVectorsControlCodes(t *testing.T) {
	runVectors(t, "control_codes.json", map[string]group{
		"description":           note,
		"source":                note,
		"source_detail":         note,
		"codes":                 checkCodes,
		"endpoint_only":         checkLocalCodes,
		"unknown_code_terminal": checkUnknownCode,
		"frame_types":           checkFrameTypes,
		"signal_codes":          checkSignals,
		"signal_reasons":        checkReasons,
		"limits":                checkConstants,
		"directions":            note, // e2ee has them: TestVectorsConstants there
		"contexts":              note, // e2ee has them: TestVectorsConstants there
	})
}

func checkCodes(t *testing.T, raw json.RawMessage) {
	type row struct {
		Name     string `json:"name"`
		Key      string `json:"key"`
		Value    Code   `json:"value"`
		Hex      string `json:"hex"`
		Terminal bool   `json:"terminal"`
		Scope    string `json:"sid_scope"`
	}
	seen := map[Code]bool{}
	rows(func(t *testing.T, r row) {
		seen[r.Value] = true
		if got := fmt.Sprintf("0x%04x", uint16(r.Value)); got != r.Hex {
			t.Errorf("value: got %s, want %s", got, r.Hex)
		}
		if got := r.Value.String(); got != r.Name {
			t.Errorf("name: got %s, want %s", got, r.Name)
		}
		if got := r.Value.Terminal(); got != r.Terminal {
			t.Errorf("terminal: got %v, want %v", got, r.Terminal)
		}
		if got := map[bool]string{true: "S", false: "0"}[r.Value.SessionScoped()]; got != r.Scope {
			t.Errorf("scope: got %s, want %s", got, r.Scope)
		}
		if !r.Value.Known() || r.Value.Local() {
			t.Errorf("known %v, local %v; want a wire code", r.Value.Known(), r.Value.Local())
		}
	})(t, raw)
	if len(seen) != len(codeTable) {
		t.Errorf("the file has %d codes, our table %d", len(seen), len(codeTable))
	}
}

func checkLocalCodes(t *testing.T, raw json.RawMessage) {
	type row struct {
		Name   string `json:"name"`
		Key    string `json:"key"`
		Value  Code   `json:"value"`
		Hex    string `json:"hex"`
		OnWire bool   `json:"on_wire"`
	}
	n := 0
	rows(func(t *testing.T, r row) {
		n++
		if got := r.Value.String(); got != r.Name {
			t.Errorf("name: got %s, want %s", got, r.Name)
		}
		if r.Value.Known() != r.OnWire || r.Value.Local() == r.OnWire || r.Value.Terminal() || r.Value.SessionScoped() {
			t.Errorf("%v: known %v, local %v, want on the wire: %v", r.Value, r.Value.Known(), r.Value.Local(), r.OnWire)
		}
		_, _, err := ParseControl([]byte{byte(r.Value >> 8), byte(r.Value)})
		wantCode(t, "ParseControl", err, "malformed_frame")
	})(t, raw)
	if n != len(localCodes) {
		t.Errorf("the file has %d codes, our table %d", n, len(localCodes))
	}
}

// checkUnknownCode: the reference calls an unknown code terminal; section 5 does not, and wins.
func checkUnknownCode(t *testing.T, raw json.RawMessage) {
	var reference bool
	strict(t, raw, &reference)
	for c := range 1 << 16 {
		if c := Code(c); !c.Known() && (c.Terminal() || c.SessionScoped()) {
			t.Errorf("%v: terminal %v, session scoped %v; want neither of an unknown code", c, c.Terminal(), c.SessionScoped())
		}
	}
}

func checkFrameTypes(t *testing.T, raw json.RawMessage) {
	var types map[string]FrameType
	strict(t, raw, &types)
	for name, value := range types {
		if got := value.String(); got != name || kinds[name] != value {
			t.Errorf("type 0x%02x: got %s, want %s", uint8(value), got, name)
		}
	}
	known := 0
	for v := range 256 {
		if FrameType(v).Known() {
			known++
		}
	}
	if known != len(types) {
		t.Errorf("got %d known types, want %d", known, len(types))
	}
}

func checkSignals(t *testing.T, raw json.RawMessage) {
	var got map[string]Signal
	strict(t, raw, &got)
	if len(got) != 2 || got["Ready"] != SignalReady || got["Close"] != SignalClose {
		t.Errorf("the file has %v", got)
	}
}

func checkReasons(t *testing.T, raw json.RawMessage) {
	var got map[string]Reason
	strict(t, raw, &got)
	want := map[string]Reason{
		"None": ReasonNone, "StateLost": ReasonStateLost, "Shutdown": ReasonShutdown, "Policy": ReasonPolicy, "Error": ReasonError,
	}
	for name, value := range got {
		if want[name] != value {
			t.Errorf("%s: got %d, want %d", name, want[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the file has %d reasons, we have %d", len(got), len(want))
	}
}

func TestVectorsFingerprint(t *testing.T) {
	type row struct {
		Name         string    `json:"name"`
		PublicKey    hexBytes  `json:"public_key"`
		Fingerprint  string    `json:"fingerprint"`
		IdentitySeed *hexBytes `json:"identity_seed"` // e2ee's tests make the key from it
	}
	runVectors(t, "fingerprint.json", map[string]group{
		"description":   note,
		"source":        note,
		"source_detail": note,
		"cases": rows(func(t *testing.T, r row) {
			fp := PublicKey(r.PublicKey).Fingerprint()
			if got := fp.String(); got != r.Fingerprint {
				t.Errorf("got %s, want %s", got, r.Fingerprint)
			}
			if got, err := ParseFingerprint(r.Fingerprint); err != nil || got != fp {
				t.Errorf("ParseFingerprint: got %v, %v", got, err)
			}
		}),
	})
}
