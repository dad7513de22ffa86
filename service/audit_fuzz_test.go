package service

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzVerifyAudit reads whatever stands in the log and its head: never a panic, and what verifies is a chain from line 1.
func FuzzVerifyAudit(f *testing.F) {
	line := `{"n":1,"prev":"` + firstPrev + `","time":"2026-01-02T03:04:05Z","act":"daemon started"}`
	f.Add([]byte(line+"\n"), []byte("00000000000000000001 "+lineHash([]byte(line))+"\n"))
	f.Add([]byte(line), []byte{})
	f.Add([]byte(`{"n":2,"prev":"x"}`+"\n\n{}\n"), []byte("1 x\n"))
	state := f.TempDir()
	if err := os.Chmod(state, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, log, head []byte) {
		path := filepath.Join(state, daemonAuditFile)
		if err := os.WriteFile(path, log, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+headSuffix, head, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := VerifyAudit(Common{StateDir: state}, "")
		if err == nil && r.Lines > 0 && (r.First != 1 || r.Last != r.Lines) {
			t.Errorf("%q, head %q: %+v verifies", log, head, r)
		}
	})
}
