package control_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
	"culvert/sbrp/control/pgtest"
)

// overPostgres is set in the process that TestOverPostgreSQL starts: the URL of a database
// in which every store of the tests has a schema of its own.
var overPostgres = os.Getenv("CULVERT_TEST_STORE")

// TestOverPostgreSQL runs this package's tests again, with every store in PostgreSQL.
func TestOverPostgreSQL(t *testing.T) {
	if overPostgres != "" {
		return // it is what runs us
	}
	pgtest.Need(t)
	server, err := pgtest.Start()
	must(t, err)
	defer server.Stop()
	args := []string{"-test.run=^Test", "-test.skip=^TestOverPostgreSQL$"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if f := flag.Lookup("test.shuffle"); f != nil {
		args = append(args, "-test.shuffle="+f.Value.String())
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CULVERT_TEST_STORE="+server.URL("postgres"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("over PostgreSQL: %v\n%s\nthe server says:\n%s", err, out, server.Log())
	}
	t.Run("Crash", func(t *testing.T) { testCrash(t, server) })
}

// While the server is away, what needs it gets a 503 that says when to come again, and
// tokens are verified all the same. When it is back, so is everything.
func testCrash(t *testing.T, server *pgtest.Server) {
	must(t, server.SQL(`CREATE SCHEMA crash`))
	store, err := control.OpenStore(t.Context(), server.URL("postgres")+"&search_path=crash")
	must(t, err)
	defer store.Close()
	p := newPlaneOn(t, store)
	d, id := p.daemon("laptop")
	if err := store.Backup(t.Context(), filepath.Join(t.TempDir(), "x")); !errors.Is(err, control.ErrNoFile) {
		t.Errorf("backup: %v", err)
	}
	if _, err := store.Restore(t.Context(), "x"); !errors.Is(err, control.ErrNoFile) {
		t.Errorf("restore: %v", err)
	}
	client := p.enrolled(api.ScopeClient)
	before, err := client.CreateSession(t.Context(), id)
	must(t, err)
	for range 2 {
		server.Kill()
		_, err := client.CreateSession(t.Context(), id)
		wantCode(t, err, 503, api.CodeUnavailable)
		_, err = d.Register(t.Context(), api.RegisterRequest{IdentityPublicKey: d.key, Name: "laptop"})
		wantCode(t, err, 503, api.CodeUnavailable)
		if e, ok := errors.AsType[*api.Error](err); !ok || e.RetryAfter == 0 {
			t.Errorf("no word of when to come again: %v", err)
		}
		if a := p.send("GET", "/readyz", "", ""); a.status != 503 {
			t.Errorf("ready without a store: %d", a.status)
		}
		if a := p.send("GET", "/healthz", "", ""); a.status != 200 {
			t.Errorf("healthz: %d", a.status)
		}
		p.forward(control.KeyringAge) // the keys at hand serve on
		p.verify(before.Token)
		must(t, server.Run())
		// The first requests may find the pool's broken connections; none may stay.
		for range 20 {
			if _, err = client.CreateSession(t.Context(), id); err == nil {
				break
			}
			wantCode(t, err, 503, api.CodeUnavailable)
		}
		must(t, err)
	}
}

// Of several nodes that start on a new store, one makes the first key.
func TestCreateFirstKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	stores := []*control.Store{openStore(t, path), openStore(t, path), openStore(t, path)}
	var made atomic.Int32
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			_, secret, err := s.CreateFirstKey(t.Context(), control.KeySpec{Scopes: []string{"admin"}})
			if err != nil {
				t.Error(err)
			}
			if secret != "" {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d of 3 made a first key", made.Load())
	}
	if _, _, err := stores[0].CreateFirstKey(t.Context(), control.KeySpec{Scopes: []string{"nothing"}}); err != nil {
		t.Error(err) // there is one: not even looked at
	}
}

// dsnOf names the store of a path: the file, or a schema for it in PostgreSQL.
func dsnOf(tb testing.TB, path string) string {
	tb.Helper()
	if overPostgres == "" {
		return "sqlite:" + path
	}
	sum := sha256.Sum256([]byte(path))
	schema := "t" + hex.EncodeToString(sum[:8])
	db, err := sql.Open("pgx", overPostgres)
	if err == nil {
		_, err = db.Exec(`CREATE SCHEMA IF NOT EXISTS ` + schema)
	}
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return overPostgres + "&search_path=" + schema
}

// ofSQLite is for what only a file has.
func ofSQLite(t *testing.T) {
	t.Helper()
	if overPostgres != "" {
		t.Skip("about SQLite's file; it has run without us")
	}
}

// A server that is not there is waited for a while and named, without what the URL hides.
func TestPostgresAbsent(t *testing.T) {
	ofSQLite(t)
	dir := t.TempDir()
	for _, dsn := range []string{
		"postgres://app:geheim@127.0.0.1:1/db?sslmode=disable&connect_timeout=1",
		"postgresql:///db?user=app&password=geheim&host=" + url.QueryEscape(dir),
		"postgres://app:geheim@127.0.0.1:x/db",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := control.OpenStore(ctx, dsn)
		cancel()
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
