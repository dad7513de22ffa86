package control

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// A node's connections. PostgreSQL allows 100 by default: eight nodes fit.
	postgresWriters = 4
	postgresReaders = 8
	// connectTimeout is how long one attempt to connect may take, unless the URL says so.
	connectTimeout = 5 * time.Second
	// stuckTransaction is when PostgreSQL ends a transaction whose process does nothing
	// with it: it has the write lock, and may have been stopped.
	stuckTransaction = 10 * time.Second

	// Advisory locks share one space of numbers in a database. These are ours: "culv" and
	// what for.
	writerLock    = 0x63756c76_00000001
	migrationLock = 0x63756c76_00000002
)

// The write lock gives transactions the order that SQLite's have, so that no query needs
// to be written for less. It lasts until the transaction ends, however it ends.
var postgresDialect = dialect{
	goose: goose.DialectPostgres, migrations: "migrations/postgres",
	writer: fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, int64(writerLock)),
	clock:  func(time.Time) string { return `(extract(epoch FROM clock_timestamp()) * 1000)::bigint` },
	away:   isPostgresAway,
}

// isPostgresAway tells what PostgreSQL says about itself, and what a broken connection
// looks like, from what is wrong with a query.
func isPostgresAway(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:min(2, len(e.Code))] {
		case "08", // connection exception
			"40", // transaction rollback: deadlock
			"53", // insufficient resources: too many connections, disk full
			"55", // object not in the right state: lock not available
			"57", // operator intervention: shutting down, starting up
			"58": // system error: I/O
			return true
		}
		return e.Code == "25P03" || // our transaction took too long
			e.Code == "25006" // a standby that is about to be promoted
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn, sql.ErrConnDone} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return pgconn.SafeToRetry(err) // it was not sent: the connection was found to be closed
}

// openPostgres opens the store in a PostgreSQL database. All that a process asks for at a
// time goes over at most 12 connections. A pooler in between must keep to sessions.
// away: see WaitForStore.
func openPostgres(ctx context.Context, dsn string, away func(error)) (*Store, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the store's URL cannot be read; write postgres://USER@HOST/DATABASE") // it may hold a password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    "culvert",
		"idle_in_transaction_session_timeout": fmt.Sprint(stuckTransaction.Milliseconds()),
	} {
		if cfg.RuntimeParams[name] == "" {
			cfg.RuntimeParams[name] = value
		}
	}
	s := &Store{now: time.Now, dialect: postgresDialect}
	s.write, s.read = postgresPool(cfg, postgresWriters), postgresPool(cfg, postgresReaders)
	s.quick = s.read
	named := func(err error) error {
		return fmt.Errorf("database %q at %s: %w", cfg.Database, cfg.Host, withoutSecrets(err))
	}
	tell := away
	if away != nil {
		tell = func(err error) { away(named(err)) }
	}
	err = retry(ctx, isPostgresAway, tell, func() error { return s.migrateAlone(ctx) })
	if err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		_ = s.Close() // failed already
		return nil, named(err)
	}
	return s, nil
}

// withoutSecrets keeps of a failed connect what the network or the server said: the
// library's own text repeats the configuration.
func withoutSecrets(err error) error {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return e.Unwrap()
	}
	return err
}

func postgresPool(cfg *pgx.ConnConfig, conns int) *sql.DB {
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// migrateAlone migrates while no other process does: several nodes may start at once. The
// lock ends with its connection, also when this process is killed.
func (s *Store) migrateAlone(ctx context.Context) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	err = migrate(ctx, s.write, s.dialect)
	// Detached: the connection goes back to the pool and must not take the lock along.
	uctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	if _, uerr := conn.ExecContext(uctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock)); uerr != nil {
		err = errors.Join(err, uerr)
	}
	return err
}
