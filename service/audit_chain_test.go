package service

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// chainedLog writes a chained log of many files and returns its directory.
func chainedLog(t *testing.T, lines int) (c Common, path string) {
	t.Helper()
	c = Common{StateDir: filepath.Join(t.TempDir(), "state")}
	dir, err := openDir(c.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	writeChained(t, c, lines, 1000)
	return c, filepath.Join(c.StateDir, daemonAuditFile)
}

func writeChained(t *testing.T, c Common, lines int, most int64) {
	t.Helper()
	l, err := openChained(testDir(t, c.StateDir), daemonAuditFile)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.most = most
	log := l.logger(slog.New(slog.NewTextHandler(t.Output(), nil)))
	for i := range lines {
		log.Info("act", "i", i, "client", "<phone>")
	}
}

func TestAuditChain(t *testing.T) {
	c, path := chainedLog(t, 20) // of some 200 bytes each
	r, err := VerifyAudit(c, "")
	if err != nil || r.First != 1 || r.Last != 20 || r.Lines != 20 || r.Files < 3 || r.Since.IsZero() || r.Until.Before(r.Since) {
		t.Fatalf("%+v, %v", r, err)
	}
	writeChained(t, c, 5, 1000) // another start
	after, err := VerifyAudit(c, r.Head)
	if err != nil || after.Last != 25 || after.Head == r.Head {
		t.Errorf("after another start: %+v, %v", after, err)
	}
	for _, head := range []string{"x", "1", "1:ab", "y:" + firstPrev} {
		if _, err := VerifyAudit(c, head); CodeOf(err) != CodeUsage {
			t.Errorf("head %q: %v", head, err)
		}
	}
	writeChained(t, c, 200, 1000)
	if r, err = VerifyAudit(c, ""); err != nil || r.Files != auditKept+1 || r.First == 1 || r.Last != 225 {
		t.Errorf("with files that are gone by their age: %+v, %v", r, err)
	}
	n := 0
	if err := ShowAudit(c, func(line []byte) bool { n++; return n < 7 }); err != nil || n != 7 {
		t.Errorf("shown %d lines, %v; want to stop at 7", n, err)
	}
	if info, err := os.Stat(path + headSuffix); err != nil || info.Size() != headSize {
		t.Errorf("head: %v, %v", info, err)
	}
	if _, err := VerifyAudit(Common{StateDir: filepath.Join(t.TempDir(), "none")}, ""); CodeOf(err) != CodeConfig {
		t.Errorf("no log: %v", err)
	}
}

// Whatever is done to the files is found, and still is when the daemon has gone on.
func TestAuditTampered(t *testing.T) {
	lines := func(change func(ls [][]byte) [][]byte) func(b []byte) []byte {
		return func(b []byte) []byte {
			return bytes.Join(change(bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))), nil)
		}
	}
	last := func(ls [][]byte) [][]byte { ls[len(ls)-1] = append(ls[len(ls)-1], '\n'); return ls }
	edits := map[string]func(b []byte) []byte{
		"line taken out":       lines(func(ls [][]byte) [][]byte { return slices.Delete(last(ls), 1, 2) }),
		"first line taken out": lines(func(ls [][]byte) [][]byte { return last(ls)[1:] }),
		"last line taken out":  lines(func(ls [][]byte) [][]byte { return ls[:len(ls)-1] }),
		"line twice":           lines(func(ls [][]byte) [][]byte { return slices.Insert(last(ls), 1, ls[1]) }),
		"lines swapped":        lines(func(ls [][]byte) [][]byte { ls[0], ls[1] = ls[1], ls[0]; return last(ls) }),
		"end of a line cut":    func(b []byte) []byte { return b[:len(b)-10] },
		"line end cut":         func(b []byte) []byte { return b[:len(b)-1] },
		"emptied":              func([]byte) []byte { return nil },
		"junk behind":          func(b []byte) []byte { return append(b, "more\n"...) },
	}
	for i := range 23 {
		edits[fmt.Sprintf("bit flipped at %d of 23", i)] = func(b []byte) []byte { b[len(b)*i/23] ^= 4; return b }
	}
	for what, edit := range edits {
		for _, file := range []string{"", ".1", ".2"} {
			if what == "line end cut" && file != "" {
				continue // not to be told from a crash of the writer, and nothing is lost by it
			}
			t.Run(what+file, func(t *testing.T) {
				c, path := chainedLog(t, 14)
				b, err := os.ReadFile(path + file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path+file, edit(b), 0o600); err != nil {
					t.Fatal(err)
				}
				wantDamaged(t, c, "")
				writeChained(t, c, 3, 1000)
				wantDamaged(t, c, "")
			})
		}
	}
	for what, do := range map[string]func(path string) error{
		"head removed":         func(path string) error { return os.Remove(path + headSuffix) },
		"head damaged":         func(path string) error { return os.WriteFile(path+headSuffix, []byte("1 x\n"), 0o600) },
		"oldest file removed":  func(path string) error { return os.Remove(path + ".2") },
		"file between removed": func(path string) error { return os.Remove(path + ".1") },
		"newest file removed":  os.Remove,
		"two files interchanged": func(path string) error {
			if err := os.Rename(path+".1", path+".x"); err != nil {
				return err
			}
			if err := os.Rename(path+".2", path+".1"); err != nil {
				return err
			}
			return os.Rename(path+".x", path+".2")
		},
	} {
		t.Run(what, func(t *testing.T) {
			c, path := chainedLog(t, 14)
			if err := do(path); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, c, "")
		})
	}
	t.Run("all written anew", func(t *testing.T) {
		c, path := chainedLog(t, 14)
		r, err := VerifyAudit(c, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(auditFiles(path), path+headSuffix) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		writeChained(t, c, 14, 1000)
		if _, err := VerifyAudit(c, ""); err != nil {
			t.Error(err)
		}
		wantDamaged(t, c, r.Head)
	})
}

func wantDamaged(t *testing.T, c Common, head string) {
	t.Helper()
	r, err := VerifyAudit(c, head)
	if e := classify(err); e == nil || e.Name != "audit_damaged" || CodeOf(err) != CodeFailure || len(r.Problems) == 0 {
		t.Errorf("verified: %+v, %v", r, err)
	}
}

// The daemon writes down who connected to what, how many bytes it carried, and why it ended; and whom it refused.
func TestDaemonAudit(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	stop := w.expose("daemon", nil, "echo="+echoServer(t))
	w.pair("daemon", "client")
	addr, ended := w.forwardToEnd("client")
	c := dialEcho(t, addr) // four bytes each way
	w.login("stranger", "client")
	if err := Forward(t.Context(), ForwardOptions{Common: w.common("stranger"), Daemon: "daemon", Trust: TrustFirstUse}, func(Event) {}); CodeOf(err) != CodeRefused {
		t.Errorf("the stranger: %v", err)
	}
	rows, _, err := Clients(t.Context(), w.common("daemon"))
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if _, err := Revoke(t.Context(), w.common("daemon"), rows[0].Name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
	receive(t, "end of the client", ended)
	if _, err := VerifyAudit(w.common("daemon"), ""); err != nil {
		t.Errorf("while the daemon runs: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if r, err := VerifyAudit(w.common("daemon"), ""); err != nil || r.First != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	var text strings.Builder
	if err := ShowAudit(w.common("daemon"), func(line []byte) bool { text.Write(append(line, '\n')); return true }); err != nil {
		t.Fatal(err)
	}
	rest := text.String()
	for _, want := range [][]string{
		{actStarted}, {actPaired, rows[0].Key.String()}, {actConnected, rows[0].Key.String(), rows[0].Name},
		{actOpened, rows[0].Key.String(), `"target":"echo"`}, {actRefusedClient, "not_authorized"},
		{actClosed, rows[0].Key.String(), rows[0].Name, `"target":"echo"`, `"bytes_in":4`, `"bytes_out":4`, `"end":"revoked"`}, {actStopped},
	} {
		if !slices.ContainsFunc(strings.Split(rest, "\n"), func(l string) bool {
			return !slices.ContainsFunc(want, func(word string) bool { return !strings.Contains(l, word) })
		}) {
			t.Errorf("no line says %q:\n%s", want, text.String())
		}
	}
}

// Refusals cost a stranger nothing, and must not push the other lines out.
func TestAuditRefusalsAreFew(t *testing.T) {
	var out logs
	a := newActs(slog.New(slog.NewTextHandler(&out, nil)))
	for range 10 * refusalsBurst {
		a.refused(actRefusedClient, "key", "k")
	}
	if n := strings.Count(out.String(), actRefusedClient); n < refusalsBurst || n > 2*refusalsBurst {
		t.Errorf("%d of %d refusals are written down", n, 10*refusalsBurst)
	}
	a.refusals.SetBurst(10000)
	a.refusals.SetLimit(1e9)
	a.refused(actRefusedClient, "key", "k")
	if !strings.Contains(out.String(), "left_out=") {
		t.Error("that some were left out is not said")
	}
}
