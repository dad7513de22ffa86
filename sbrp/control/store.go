package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// Store is the control plane's memory. Its methods block on the database, may run
// concurrently, and agree with other processes that use the same one.
type Store struct {
	now     func() time.Time
	dialect dialect

	// In SQLite one connection that writes, since there is one writer anyway: waiting in
	// database/sql's queue is fair and ends with the context. In PostgreSQL as many as may
	// wait for one another without keeping readers from theirs.
	write *sql.DB
	read  *sql.DB
	// Used device tokens live for minutes. SQLite commits them with synchronous=NORMAL:
	// that outlives a crash of the process, not one of the machine, and spares an fsync
	// per request. In PostgreSQL it is read: commits share one.
	quick *sql.DB
}

// dialect is what one kind of database has different from the other. The queries
// are the same.
type dialect struct {
	goose      goose.Dialect
	migrations string // directory of migrationFiles
	isFile     bool   // the whole of it is one file
	// writer is run first in every transaction that may write; it waits until no other
	// process is in one. Empty: the transaction itself does.
	writer string
	// clock is an expression for the database's time in milliseconds; now is this process's.
	clock func(now time.Time) string
	// away says whether an error means that the database is busy or out of reach, so
	// that the same may succeed later.
	away func(error) bool
}

// OpenStore opens the store that dsn names, "sqlite:PATH" or "postgres://…", and makes
// or migrates it as needed. It blocks on the database, for 10 s if that is not there. A
// SQLite file is made with mode 0600. What a postgres URL leaves out comes from the
// variables and files that PostgreSQL's own programs read (PGPASSFILE, ~/.pgpass, …).
func OpenStore(ctx context.Context, dsn string) (*Store, error) { return openStore(ctx, dsn, nil) }

// WaitForStore is OpenStore for a server, which may be started before its database: it
// waits for one in PostgreSQL that is out of reach until ctx ends, and calls away with the
// reason at each attempt, about once a second.
func WaitForStore(ctx context.Context, dsn string, away func(error)) (*Store, error) {
	return openStore(ctx, dsn, away)
}

func openStore(ctx context.Context, dsn string, away func(error)) (*Store, error) {
	kind, rest, _ := strings.Cut(dsn, ":")
	var s *Store
	var err error
	switch kind {
	case "sqlite":
		s, err = openSQLite(ctx, rest)
	case "postgres", "postgresql":
		s, err = openPostgres(ctx, dsn, away)
	default: // not echoed: it may hold a password
		err = errors.New("the store must be named as sqlite:PATH or postgres://HOST/DATABASE")
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// Close closes the store. Transactions under way end first.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.quick, s.write} {
		if db != nil {
			errs = append(errs, db.Close()) // a second time does nothing
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

// update runs f in a transaction that may write; it holds the store's one write
// lock from the start, so f does nothing but talk to the database.
func (s *Store) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says ErrTxDone after a commit
	if s.dialect.writer != "" {
		if _, err := tx.ExecContext(ctx, s.dialect.writer); err != nil {
			return err
		}
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// insert runs an INSERT … ON CONFLICT DO NOTHING and says whether the row was new: a
// server would log a violated constraint as an error.
func insert(ctx context.Context, db *sql.DB, query string, args ...any) (new bool, err error) {
	res, err := db.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// isID says whether a text may be one of our ids: what is none is not looked up, for
// PostgreSQL refuses some texts.
func isID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= maxKeyLength
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
