package service

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"culvert/sbrp/control"
)

// What is done at the relay's machine stands in the audit log beside what machines ask for.
func TestAuditLog(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "echo="+echoServer(t))
	o := KeyStoreOptions{Common: w.common("relay")}
	row, _, err := CreateKey(t.Context(), o, KeySpec{Name: "late", Scopes: []string{"client"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RevokeKey(t.Context(), o, row.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := RevokeKey(t.Context(), o, "nothing"); err == nil {
		t.Error("a key that is not there was revoked")
	}
	file := filepath.Join(t.TempDir(), "store.backup")
	if err := Backup(t.Context(), o, file); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), o, file); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "relay", auditFile)
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the audit log is %v, %v", info, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for line := range strings.Lines(string(b)) {
		var l struct{ Time, Act, Remote string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time == "" || l.Remote == "" {
			t.Errorf("%q: %v", line, err)
		}
		got[l.Act+" "+l.Remote]++
	}
	for act, want := range map[string]int{
		control.ActKeyCreated + " local": 2, control.ActKeyRevoked + " local": 1, actBackup + " local": 1, actRestore + " local": 1,
		control.ActDeviceEnrolled + " 127.0.0.1": 1, control.ActDaemonRegistered + " 127.0.0.1": 1,
	} {
		if got[act] != want {
			t.Errorf("%d lines say %q, want %d; there are %v", got[act], act, want, got)
		}
	}
}

// The log is put aside when it is full; several write at once, and no line is lost or torn.
func TestAuditLogTurns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l, err := openAudit(testDir(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.most = 2000
	log := l.logger(slog.New(slog.DiscardHandler))
	const writers, each = 4, 20 // some 6 KB: no file of theirs is old enough to be removed
	var wg sync.WaitGroup
	for k := range writers {
		wg.Go(func() {
			for i := range each {
				log.Info("act", "n", k*each+i)
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	files, err := filepath.Glob(filepath.Join(dir, auditFile+"*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil || len(b) > 2000 {
			t.Errorf("%s: %d bytes, %v", file, len(b), err)
		}
		for line := range strings.Lines(string(b)) {
			var r struct{ N int }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Errorf("%s: %q: %v", file, line, err)
			}
			seen[r.N] = true
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d lines, want %d", len(seen), writers*each)
	}
	for range 100 * auditKept {
		log.Info("act", "n", -1)
	}
	if files, err = filepath.Glob(filepath.Join(dir, auditFile+"*")); err != nil || len(files) != auditKept+1 {
		t.Errorf("%d files, %v; want %d", len(files), err, auditKept+1)
	}
}

// A log that cannot be written is complained about, and heals.
func TestAuditLogFails(t *testing.T) {
	dir := testDir(t, filepath.Join(t.TempDir(), "state"))
	l, err := openAudit(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.most = 1
	var complaints logs
	log := l.logger(slog.New(slog.NewTextHandler(&complaints, nil)))
	log.Info("first")
	inTheWay := filepath.Join(dir.File(fmt.Sprintf("%s.%d", auditFile, auditKept)), "directory")
	err = os.MkdirAll(inTheWay, 0o700)
	if err == nil {
		err = dir.WriteSecret(fmt.Sprintf("%s.%d", auditFile, auditKept-1), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	log.Info("second")
	if !strings.Contains(complaints.String(), "cannot write the audit log") || !strings.Contains(complaints.String(), "act=second") {
		t.Errorf("complaints: %q", complaints.String())
	}
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	log.Info("third")
	b, err := os.ReadFile(dir.File(auditFile))
	if err != nil || !strings.Contains(string(b), fmt.Sprintf("%q:%q", "act", "third")) {
		t.Errorf("afterwards: %q, %v", b, err)
	}
	blocked := testDir(t, filepath.Join(t.TempDir(), "state"))
	if err := os.Mkdir(blocked.File(auditFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openAudit(blocked); CodeOf(err) != CodeConfig {
		t.Errorf("a directory in its place: %v", err)
	}
}
