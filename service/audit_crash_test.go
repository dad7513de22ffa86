package service

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// Each byte of the log and of its head counts: whichever is changed, it is found.
func TestAuditEveryByte(t *testing.T) {
	c, path := chainedLog(t, 0)
	writeChained(t, c, 3, 1<<20)
	for _, file := range []string{path, path + headSuffix} {
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for at := range good {
			for _, flip := range []byte{1, 4, 0x20, 0x80} {
				bad := bytes.Clone(good)
				bad[at] ^= flip
				if err := os.WriteFile(file, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				if r, err := VerifyAudit(c, ""); err == nil {
					t.Errorf("%s: byte %d (%q to %q) is not found: %+v", file, at, good[at], bad[at], r)
				}
			}
		}
		for n := range good { // cut off there
			if err := os.WriteFile(file, good[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := VerifyAudit(c, ""); err == nil {
				t.Errorf("%s: cut at %d is not found: %+v", file, n, r)
			}
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := VerifyAudit(c, ""); err != nil {
		t.Errorf("the log as it was: %v", err)
	}
}

// A writer that dies in the middle of a line, at whatever byte, is told from tampering: the log goes on, and says what
// happened. What was written before is as bound as ever.
func TestAuditInterrupted(t *testing.T) {
	c, path := chainedLog(t, 0)
	writeChained(t, c, 4, 1<<20)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, err := os.ReadFile(path + headSuffix)
	if err != nil {
		t.Fatal(err)
	}
	writeChained(t, c, 1, 1<<20)
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	crash := func(upTo int, change func([]byte)) {
		b := bytes.Clone(after[:upTo])
		change(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+headSuffix, head, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for upTo := len(before) + 1; upTo < len(after); upTo++ {
		crash(upTo, func([]byte) {})
		if r, err := VerifyAudit(c, ""); err != nil || len(r.Notes) != 1 || r.Last != 4 {
			t.Errorf("crashed at byte %d: %+v, %v", upTo, r, err)
		}
		writeChained(t, c, 2, 1<<20)
		r, err := VerifyAudit(c, "")
		want := uint64(7) // one line for the crash, two more
		if upTo == len(after)-1 {
			want++ // only the line's end was missing
		}
		if err != nil || len(r.Notes) != 1 || r.Last != want || r.Lines != want {
			t.Errorf("crashed at byte %d, and went on: %+v, %v; want %d lines", upTo, r, err, want)
		}
		writeChained(t, c, 1, 1<<20)
		if again, err := VerifyAudit(c, r.Head); err != nil || again.Last != want+1 {
			t.Errorf("crashed at byte %d, another start: %+v, %v", upTo, again, err)
		}
	}
	// The line was written, and its head was not: nothing happened.
	crash(len(after), func([]byte) {})
	writeChained(t, c, 1, 1<<20)
	if r, err := VerifyAudit(c, ""); err != nil || len(r.Notes) > 0 || r.Last != 6 {
		t.Errorf("crashed before the head: %+v, %v", r, err)
	}
	for at := range before {
		crash(len(after)-20, func(b []byte) { b[at] ^= 4 })
		writeChained(t, c, 1, 1<<20)
		if r, err := VerifyAudit(c, ""); err == nil {
			t.Fatalf("byte %d was changed before the crash, and it is not found: %+v", at, r)
		}
	}
	crash(len(after)-20, func([]byte) {})
	writeChained(t, c, 1, 1<<20)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(before); at < len(good); at++ { // the piece is bound too
		bad := bytes.Clone(good)
		bad[at] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := VerifyAudit(c, ""); err == nil {
			t.Errorf("byte %d was changed after the crash, and it is not found: %+v", at, r)
		}
	}
}

// Commands write beside the daemon: one chain, over files that any of them puts aside.
func TestAuditWritersTakeTurns(t *testing.T) {
	c, _ := chainedLog(t, 1)
	const writers, each = 3, 12
	complaints := &logs{}
	var wg sync.WaitGroup
	for range writers {
		l, err := openChained(testDir(t, c.StateDir), daemonAuditFile)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.most = 1500
		log := l.logger(slog.New(slog.NewTextHandler(complaints, nil)))
		wg.Go(func() {
			for i := range each {
				log.Info("act", "i", i)
			}
		})
	}
	wg.Wait()
	r, err := VerifyAudit(c, "")
	if err != nil || r.Last != 1+writers*each || r.Lines != r.Last || r.Files < 3 || len(r.Notes) > 0 {
		t.Errorf("%+v, %v, complaints %q; want %d lines of one chain", r, err, complaints, 1+writers*each)
	}
	if strings.Contains(complaints.String(), "cannot write") {
		t.Error(complaints.String())
	}
}
