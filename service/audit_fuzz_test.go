package service

import (
	"bytes"
	"testing"
)

// FuzzAuditLines reads whatever stands in a log: never a panic, and what has no problem is a chain from line 1. It works in
// memory: with files each run costs so much that the fuzzer spends its time on making inputs smaller.
func FuzzAuditLines(f *testing.F) {
	line := `{"n":1,"prev":"` + firstPrev + `","time":"2026-01-02T03:04:05Z","act":"daemon started"}`
	next := `{"n":2,"prev":"` + lineHash([]byte(line)) + `","time":"2026-01-02T03:04:06Z","act":"daemon stopped"}`
	f.Add([]byte(line + "\n" + next + "\n"))
	f.Add([]byte(line))
	f.Add([]byte(`{"n":2,"prev":"x"}` + "\n\n{}\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		v := &verifier{hash: firstPrev}
		for l := range bytes.Lines(log) {
			l, whole := bytes.CutSuffix(l, []byte("\n"))
			v.line("log", l, whole, 0, "")
		}
		if r := v.report; len(r.Problems) == 0 && r.Lines > 0 && r.Last-r.First+1 != r.Lines {
			t.Errorf("%q: %+v has no problem", log, r)
		}
	})
}
