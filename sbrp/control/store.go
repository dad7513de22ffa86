package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// busyTimeout is how long a statement waits for another process's transaction.
	// Ours take milliseconds; a slow disk may take seconds.
	busyTimeout = 10 * time.Second
	readers     = 4 // connections that read at once; WAL lets them beside the writer
)

// Store is the control plane's memory. Its methods block on the disk, may run
// concurrently, and wait for other processes that have the same file open.
type Store struct {
	now func() time.Time

	// One connection that writes, since SQLite has one writer anyway: waiting in
	// database/sql's queue is fair and ends with the context.
	write *sql.DB
	read  *sql.DB
	// Used device tokens live for minutes. They are committed with synchronous=NORMAL:
	// that outlives a crash of the process, not one of the machine, and spares an
	// fsync per request.
	quick *sql.DB
}

// OpenStore opens the store that dsn names, "sqlite:PATH", and makes or migrates it
// as needed. It blocks on the disk. The file is made with mode 0600.
func OpenStore(ctx context.Context, dsn string) (*Store, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := secureFile(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{now: time.Now}
	if err := s.open(ctx, path); err != nil {
		_ = s.Close() // failed already
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

// Close closes the store. Transactions under way end first.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.quick, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Ping says whether the store can be read.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM signing_keys`).Scan(&n); err != nil {
		return fmt.Errorf("reach store: %w", err)
	}
	return nil
}

func sqlitePath(dsn string) (string, error) {
	kind, rest, ok := strings.Cut(dsn, ":")
	switch {
	case ok && (kind == "postgres" || kind == "postgresql"):
		return "", errors.New("PostgreSQL is not supported by this version; use sqlite:PATH")
	case !ok || kind != "sqlite": // not echoed: it may hold a password
		return "", errors.New("the store must be named as sqlite:PATH")
	case rest == "" || rest == ":memory:":
		return "", errors.New("the store needs a file; write sqlite:PATH")
	}
	path, err := filepath.Abs(rest)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", rest, err)
	}
	return path, nil
}

// secureFile makes the file if it is not there, and refuses one that others can
// read: it holds the keys that sign tokens. SQLite gives its -wal and -shm files the
// same mode.
func secureFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("%s may be read or written by others (mode %04o) and holds signing keys; run: chmod 600 %s", path, mode, path)
	}
	return nil
}

func (s *Store) open(ctx context.Context, path string) error {
	var err error
	if s.write, err = openDB(path, 1, "synchronous(FULL)", "journal_mode(WAL)"); err != nil {
		return err
	}
	// Turning WAL on and migrating need the file alone. Another process may be at the
	// same at this moment: try again until it is done.
	if err := retry(ctx, func() error { return migrate(ctx, s.write) }); err != nil {
		return err
	}
	if s.quick, err = openDB(path, 1, "synchronous(NORMAL)"); err != nil {
		return err
	}
	if s.read, err = openDB(path, readers, "query_only(1)"); err != nil {
		return err
	}
	return s.Ping(ctx)
}

func openDB(path string, conns int, pragmas ...string) (*sql.DB, error) {
	slash := filepath.ToSlash(path)
	if !strings.HasPrefix(slash, "/") {
		slash = "/" + slash // C:/… becomes file:///C:/…
	}
	q := url.Values{"_txlock": {"immediate"}}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slash, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// update runs f in a transaction that may write; it holds the store's one write
// lock from the start, so f does nothing but talk to the database.
func (s *Store) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says ErrTxDone after a commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// isConstraint says whether err is a violated UNIQUE or PRIMARY KEY.
func isConstraint(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isBusy says whether err means that another process kept the lock for too long.
func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
