package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzAuditLine shows a line of a log in which anything may have been put: to people it is one line, to a script one of JSON.
func FuzzAuditLine(f *testing.F) {
	f.Add([]byte(`{"n":7,"prev":"00","time":"2026-01-02T03:04:05Z","act":"stream ended","client":"phone","target":"web","bytes_in":-1,"bytes_out":9}`))
	f.Add([]byte(`{"act":"x\n2026-01-02 03:04:05  all is well"}`))
	f.Add([]byte("\x1b[2Jbroken\r"))
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ReplaceAll(line, []byte("\n"), nil) // lines are cut there
		var out, errs bytes.Buffer
		p := &printer{stdout: &out, stderr: &errs}
		p.data("%s", auditLine(line, time.UTC))
		shown := out.String()
		if strings.Count(shown, "\n") != 1 || !strings.HasSuffix(shown, "\n") || printable(shown) != shown || !utf8.ValidString(shown) {
			t.Errorf("%q is shown as %q", line, shown)
		}
		if raw := rawLine(line); bytes.Contains(raw, []byte("\n")) {
			t.Errorf("%q is passed on as %q", line, raw)
		}
	})
}

// FuzzByteSize reads a number of bytes: what is taken is at least one, and its short form means about the same.
func FuzzByteSize(f *testing.F) {
	for _, s := range []string{"500kB", "1.5GiB", "1e3MB", "0x10", "NaN", "4611686018427387904", " 7 B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseBytes(text)
		if err != nil {
			if n != 0 {
				t.Errorf("%q: %d and %v", text, n, err)
			}
			return
		}
		if n < 1 || n >= 1<<62 {
			t.Errorf("%q is read as %d", text, n)
		}
		if n > 990e9 {
			return // shown in TB, which nobody has a flag for
		}
		back, err := parseBytes(byteSize{&n}.String())
		if err != nil || float64(back) < 0.9*float64(n) || float64(back) > 1.1*float64(n) {
			t.Errorf("%q is %d, written as %q, which is read as %d, %v", text, n, byteSize{&n}.String(), back, err)
		}
	})
}
