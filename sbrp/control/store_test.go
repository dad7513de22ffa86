package control_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

func TestOpenStore(t *testing.T) {
	ofSQLite(t)
	dir := t.TempDir()
	// Letters that mean something in a URI do not in a path.
	for _, name := range []string{"plain.db", "with space.db", "a%20b#c.db", "ünï.db", "q=1&x.db"} {
		path := filepath.Join(dir, name)
		s, err := control.OpenStore(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _, err = s.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"admin"}})
		must(t, err)
		must(t, s.Close())
		// SQLite's own files, while they are there, have the same mode.
		info, err := os.Stat(path)
		must(t, err)
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", name, info.Mode().Perm())
		}
		s = openStore(t, path)
		if keys, err := s.ListKeys(t.Context()); err != nil || len(keys) != 1 {
			t.Errorf("%s: %d keys after reopening, %v", name, len(keys), err)
		}
		must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if info, ierr := d.Info(); ierr == nil && !d.IsDir() && runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %04o", p, info.Mode().Perm())
			}
			return err
		}))
	}
}

func TestOpenStoreRefuses(t *testing.T) {
	ofSQLite(t)
	dir := t.TempDir()
	for dsn, want := range map[string]string{
		"mysql://user:geheim@host/db":  "sqlite:PATH",
		"geheim":                       "sqlite:PATH",
		"":                             "sqlite:PATH",
		"sqlite:":                      "needs a file",
		"sqlite::memory:":              "needs a file",
		"sqlite:" + dir:                "",
		"sqlite:" + dir + "/none/x.db": "",
	} {
		_, err := control.OpenStore(t.Context(), dsn)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v, want %q", dsn, err, want)
		}
	}
	if runtime.GOOS != "windows" {
		open := filepath.Join(dir, "open.db")
		must(t, os.WriteFile(open, nil, 0o600))
		must(t, os.Chmod(open, 0o640))
		if _, err := control.OpenStore(t.Context(), "sqlite:"+open); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("readable by others: %v", err)
		}
	}
	// What is no database is said to be none, and not for longer than the context.
	garbage := filepath.Join(dir, "garbage.db")
	must(t, os.WriteFile(garbage, []byte(strings.Repeat("no database ", 500)), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := control.OpenStore(ctx, "sqlite:"+garbage); err == nil {
		t.Error("garbage was opened")
	}
	if b, err := os.ReadFile(garbage); err != nil || !strings.HasPrefix(string(b), "no database") {
		t.Error("garbage was overwritten")
	}
}

// A store of a later version is left alone, at once.
func TestOpenStoreLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later.db")
	s := openStore(t, path)
	must(t, s.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 99, true))
	start := time.Now()
	if _, err := control.OpenStore(t.Context(), dsnOf(t, path)); err == nil || !strings.Contains(err.Error(), "newer culvert") || time.Since(start) > 5*time.Second {
		t.Errorf("later version: %v after %s", err, time.Since(start))
	}
}

// Both databases know the same schema versions.
func TestMigrationsAgree(t *testing.T) {
	versions := map[string][]string{}
	for _, kind := range []string{"sqlite", "postgres"} {
		files, err := os.ReadDir("migrations/" + kind)
		must(t, err)
		for _, f := range files {
			if v, _, _ := strings.Cut(f.Name(), "_"); v >= "00002" { // PostgreSQL began there
				versions[kind] = append(versions[kind], v)
			}
		}
	}
	if !slices.Equal(versions["sqlite"], versions["postgres"]) {
		t.Errorf("versions differ: %v", versions)
	}
}

// Several processes start on a new file at the same moment.
func TestOpenStoreTogether(t *testing.T) {
	for range 2 { // goose waits a second when it collides
		dsn := dsnOf(t, filepath.Join(t.TempDir(), "control.db"))
		var wg sync.WaitGroup
		kids := make([]string, 4)
		for i := range kids {
			wg.Go(func() {
				s, err := control.OpenStore(t.Context(), dsn)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				keys, err := s.SigningKeys(t.Context())
				if err != nil || len(keys) != 2 {
					t.Errorf("%d signing keys, %v", len(keys), err)
					return
				}
				kids[i] = keys[0].ID + keys[1].ID
			})
		}
		wg.Wait()
		for _, k := range kids {
			if k != kids[0] {
				t.Errorf("they do not agree on the signing keys: %v", kids)
			}
		}
	}
}

// Two stores on one file, as the CLI beside a running relay: writers of both at
// once, readers in between, nothing lost, no "database is locked".
func TestTwoStores(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	stores := []*control.Store{openStore(t, path), openStore(t, path)}
	const each = 25
	now := time.Now()
	k, _, err := stores[0].CreateKey(t.Context(), control.KeySpec{Scopes: []string{"daemon"}})
	must(t, err)
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			for range each {
				if _, _, err := s.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"client"}}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for n := range each {
				key := sbrp.PublicKey{byte(i), byte(n), 1}
				if _, err := s.Enroll(t.Context(), key, k, now); err != nil {
					t.Error(err)
				}
				if _, err := s.Register(t.Context(), key, fmt.Sprintf("d-%d-%d", i, n), k, now); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for n := range each {
				if err := s.UseToken(t.Context(), sbrp.PublicKey{}, fmt.Sprintf("%d-%d", i, n), now.Add(time.Hour)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range each {
				if _, err := s.ListDevices(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		for table, want := range map[string]int{"api_keys": 2*each + 1, "devices": 2 * each, "daemons": 2 * each, "used_tokens": 2 * each} {
			if n, err := s.Count(t.Context(), table); err != nil || n != want {
				t.Errorf("%d rows in %s, %v; want %d", n, table, err, want)
			}
		}
	}
}

// What must happen once happens once, whichever process is asked.
func TestTwoStoresOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	stores := []*control.Store{openStore(t, path), openStore(t, path)}
	now := time.Now()
	k, _, err := stores[0].CreateKey(t.Context(), control.KeySpec{Scopes: []string{"daemon"}})
	must(t, err)
	d, err := stores[0].Register(t.Context(), sbrp.PublicKey{1}, "laptop", k, now)
	must(t, err)
	for round := range byte(10) {
		must(t, stores[0].AddPairing(t.Context(), api.Lookup{round}, d.ID, now.Add(time.Minute)))
		var redeemed, used, named atomic.Int32
		var wg sync.WaitGroup
		for i, s := range stores {
			wg.Go(func() {
				switch _, _, err := s.Redeem(t.Context(), api.Lookup{round}, sbrp.PublicKey{2, byte(i)}, now); {
				case err == nil:
					redeemed.Add(1)
				case !errors.Is(err, control.ErrNotFound):
					t.Error(err)
				}
			})
			wg.Go(func() {
				switch err := s.UseToken(t.Context(), sbrp.PublicKey{3}, fmt.Sprint(round), now.Add(time.Minute)); {
				case err == nil:
					used.Add(1)
				case !errors.Is(err, control.ErrReplayed):
					t.Error(err)
				}
			})
			wg.Go(func() {
				switch _, err := s.Register(t.Context(), sbrp.PublicKey{4, byte(i), round}, fmt.Sprint("n", round), k, now); {
				case err == nil:
					named.Add(1)
				case !errors.Is(err, control.ErrNameTaken):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if redeemed.Load() != 1 || used.Load() != 1 || named.Load() != 1 {
			t.Errorf("round %d: redeemed %d, used %d, named %d times", round, redeemed.Load(), used.Load(), named.Load())
		}
	}
}

// A context that ends while another process holds the write lock ends the wait.
func TestStoreContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	a, b := openStore(t, path), openStore(t, path)
	must(t, a.Hold(t.Context(), func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := b.Hold(ctx, func() { t.Error("two hold the lock") })
		if err == nil || time.Since(start) > 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if _, err := b.ListKeys(t.Context()); err != nil { // readers do not wait
			t.Error(err)
		}
	}))
	_, _, err := b.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"client"}})
	must(t, err)
}

func TestKeyIsNotStored(t *testing.T) {
	ofSQLite(t)
	path := filepath.Join(t.TempDir(), "control.db")
	s := openStore(t, path)
	_, secret, err := s.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"client"}})
	must(t, err)
	must(t, s.Close())
	for _, name := range []string{path, path + "-wal"} {
		b, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(b), secret[len(secret)-32:]) {
			t.Errorf("%s holds the secret", name)
		}
	}
}
