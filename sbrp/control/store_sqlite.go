package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"culvert/config/private"
)

const (
	// busyTimeout is how long a statement waits for another process's transaction.
	// Ours take milliseconds; a slow disk may take seconds.
	busyTimeout = 10 * time.Second
	readers     = 4 // connections that read at once; WAL lets them beside the writer
)

// SQLite's write transactions begin with BEGIN IMMEDIATE (_txlock), which is the lock.
var sqliteDialect = dialect{
	goose: goose.DialectSQLite3, migrations: "migrations/sqlite", isFile: true,
	clock: func(now time.Time) string { return strconv.FormatInt(millis(now), 10) },
	away: func(err error) bool { // another process kept the lock for too long
		e, ok := errors.AsType[*sqlite.Error](err)
		return ok && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
	},
}

// openSQLite opens the store in a file.
func openSQLite(ctx context.Context, path string) (*Store, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("the store needs a file; write sqlite:PATH")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := secureFile(path); err != nil {
		return nil, err
	}
	s := &Store{now: time.Now, dialect: sqliteDialect}
	if err := s.openFile(ctx, path); err != nil {
		_ = s.Close() // failed already
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// secureFile makes the file if it is not there, and refuses one that others can
// read: it holds the keys that sign tokens. SQLite gives its -wal and -shm files the
// same mode; on Windows they have the directory's access list.
func secureFile(path string) error {
	f, err := private.OpenFile(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) openFile(ctx context.Context, path string) error {
	var err error
	if s.write, err = openDB(path, 1, "synchronous(FULL)", "journal_mode(WAL)"); err != nil {
		return err
	}
	// Turning WAL on and migrating need the file alone. Another process may be at the
	// same at this moment: try again until it is done.
	again := func(err error) bool {
		_, newer := errors.AsType[errNewer](err)
		return !newer
	}
	if err := retry(ctx, again, nil, func() error { return migrate(ctx, s.write, s.dialect) }); err != nil {
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
