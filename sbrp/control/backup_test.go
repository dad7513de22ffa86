package control_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// A store is backed up, changed and restored while a server answers from it.
func TestBackupAndRestore(t *testing.T) {
	ofSQLite(t)
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemon("laptop")
	k, secret, err := p.store.CreateKey(ctx, control.KeySpec{Name: "kept", Scopes: []string{api.ScopeClient}})
	must(t, err)
	signing, err := p.store.SigningKeys(ctx)
	must(t, err)
	file := filepath.Join(t.TempDir(), "backup.db")
	must(t, p.store.Backup(ctx, file))
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v", info, err)
	}
	if err := p.store.Backup(ctx, file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another backup: %v", err)
	}

	// What happens after the backup: a key is revoked, a daemon and a rotation come.
	if _, err := p.store.RevokeKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	late, lateID := p.daemon("late")
	if _, err := p.store.RotateSigningKey(ctx); err != nil {
		t.Fatal(err)
	}
	p.forward(control.KeyringAge)
	request := p.sign(d)
	if a := p.send("GET", api.PathDaemons, request, ""); a.status != 200 {
		t.Fatalf("list: %d %s", a.status, a.body)
	}
	got, err := p.store.Restore(ctx, file)
	must(t, err)
	if got.Daemons != 1 || got.Devices != 1 || got.Keys != 3 { // admin, the daemon's, kept
		t.Errorf("restored %+v", got)
	}

	p.forward(control.KeyringAge)
	if a := p.send("GET", api.PathDaemons, request, ""); a.status != 401 {
		t.Errorf("a device token that was used before the restore passes after it: %d", a.status)
	}
	if keys, err := p.store.SigningKeys(ctx); err != nil || keys[0].ID != signing[0].ID || keys[1].ID != signing[1].ID || len(keys) != 2 {
		t.Errorf("signing keys %v, %v; want %v", keys, err, signing)
	}
	presence, err := d.Presence(ctx, id)
	must(t, err)
	p.verify(presence.PresenceToken)
	if _, err := late.Presence(ctx, lateID); err == nil {
		t.Error("a daemon that was registered after the backup is known")
	}
	if _, err := newDevice(t, p).Enroll(ctx, api.EnrollRequest{APIKey: secret, Name: "again"}); err != nil {
		t.Errorf("a key that was revoked after the backup: %v", err)
	}
}

// Two processes write while backups are made; each backup is a store by itself.
func TestBackupWhileWriting(t *testing.T) {
	ofSQLite(t)
	path := filepath.Join(t.TempDir(), "control.db")
	stores := []*control.Store{openStore(t, path), openStore(t, path)}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, _, err := s.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"client"}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	last := 0
	for i := range 5 {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("backup%d.db", i))
		must(t, stores[i%2].Backup(t.Context(), file))
		keys, err := openStore(t, file).ListKeys(t.Context())
		must(t, err)
		if len(keys) < last {
			t.Errorf("backup %d holds %d keys, the one before %d", i, len(keys), last)
		}
		last = len(keys)
	}
	close(done)
	wg.Wait()
	other := openStore(t, filepath.Join(t.TempDir(), "other.db"))
	file := filepath.Join(t.TempDir(), "end.db")
	must(t, stores[0].Backup(t.Context(), file))
	r, err := other.Restore(t.Context(), file)
	must(t, err)
	keys, err := stores[1].ListKeys(t.Context())
	if err != nil || r.Keys != len(keys) {
		t.Errorf("restored %d keys of %d, %v", r.Keys, len(keys), err)
	}
}

// What is no backup leaves the store as it is.
func TestRestoreRefuses(t *testing.T) {
	ofSQLite(t)
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "control.db"))
	_, _, err := s.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"admin"}})
	must(t, err)
	good := filepath.Join(dir, "good.db")
	must(t, s.Backup(t.Context(), good))
	whole, err := os.ReadFile(good)
	must(t, err)
	later := openStore(t, filepath.Join(dir, "later.db"))
	must(t, later.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`))
	must(t, later.Backup(t.Context(), filepath.Join(dir, "newer.db")))
	newer, err := os.ReadFile(filepath.Join(dir, "newer.db"))
	must(t, err)
	for name, content := range map[string][]byte{
		"empty":   nil,
		"garbage": []byte("no database, whatever its name says, however long it goes on, and on, and on"),
		"half":    whole[:len(whole)/2],
		"newer":   newer,
	} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, content, 0o600))
		start := time.Now()
		if _, err := s.Restore(t.Context(), file); err == nil {
			t.Errorf("%s was restored", name)
		} else if name != "newer" && !errors.Is(err, control.ErrNoBackup) {
			t.Errorf("%s: %v after %v", name, err, time.Since(start))
		}
	}
	if _, err := s.Restore(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if keys, err := s.ListKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("%d keys afterwards, %v", len(keys), err)
	}
	if r, err := s.Restore(t.Context(), good); err != nil || r.Keys != 1 {
		t.Errorf("the good one: %+v, %v", r, err)
	}
}
