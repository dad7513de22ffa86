package e2ee

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"culvert/sbrp"
)

// group checks one top-level entry of a vector file.
type group func(t *testing.T, raw json.RawMessage)

// note is a group of a vector file that holds words for people.
func note(*testing.T, json.RawMessage) {}

// runVectors runs every group of a file, and fails for a group that has no check and for a check that has no group: so nothing of a file is silently
// left out.
func runVectors(t *testing.T, file string, groups map[string]group) {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if groups[name] == nil {
			t.Errorf("%s has the group %q, which no test covers", file, name)
		}
	}
	for name, check := range groups {
		raw, ok := all[name]
		if !ok {
			t.Errorf("%s has no group %q", file, name)
			continue
		}
		t.Run(name, func(t *testing.T) { check(t, raw) })
	}
}

// rows makes a group of a check for one row of a list. A row with a field that R does not know fails, and so does an empty list.
func rows[R any](check func(t *testing.T, row R)) group {
	return func(t *testing.T, raw json.RawMessage) {
		var list []json.RawMessage
		strict(t, raw, &list)
		if len(list) == 0 {
			t.Fatal("no rows")
		}
		for i, one := range list {
			var row R
			strict(t, one, &row)
			var named struct{ Name string }
			if err := json.Unmarshal(one, &named); err != nil || named.Name == "" {
				named.Name = strconv.Itoa(i)
			}
			t.Run(named.Name, func(t *testing.T) { check(t, row) })
		}
	}
}

// strict decodes raw into v and fails for unknown fields.
func strict(t *testing.T, raw json.RawMessage, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("row %.200s: %v", raw, err)
	}
}

// hexBytes is a field of lower-case hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexBytes) String() string { return hex.EncodeToString(h) }

// decimal is a uint64 as a decimal string.
type decimal uint64

func (d *decimal) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 64)
	*d = decimal(v)
	return err
}

// wantCode fails unless err is an *Error whose code has this name; "" wants no error.
func wantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		c, ok := sbrp.CodeOf(err)
		if !ok {
			t.Fatalf("%s: error %v is no *Error", what, err)
		}
		got = c.String()
	}
	if got != want {
		t.Errorf("%s: got code %q (%v), want %q", what, got, err, want)
	}
}
