package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"culvert/config/private"
)

// Restored counts what a store holds after Restore.
type Restored struct{ Keys, Devices, Daemons int }

// ErrNoBackup is a file that is not a backup of a store.
var ErrNoBackup = errors.New("not a backup of a culvert store")

// Restore replaces what the store holds by what a backup holds, in one transaction:
// servers may go on using the store meanwhile, and see the one or the other. A backup of
// an older schema is migrated first, in a copy. What has been revoked since the backup is
// good again, what was enrolled since is unknown; tokens of signing keys that the backup
// does not have are refused within a minute, and their holders ask for others. Only the
// used device tokens stay, so that none can be used a second time.
func (s *Store) Restore(ctx context.Context, path string) (Restored, error) {
	r, err := s.restore(ctx, path)
	if err != nil {
		return Restored{}, fmt.Errorf("restore store from %s: %w", path, err)
	}
	return r, nil
}

func (s *Store) restore(ctx context.Context, path string) (Restored, error) {
	if !s.dialect.isFile {
		return Restored{}, ErrNoFile
	}
	dir, err := private.MkdirTemp("culvert-restore-")
	if err != nil {
		return Restored{}, err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "store.db")
	if err := copyFile(path, copied); err != nil {
		return Restored{}, err
	}
	if err := freshen(ctx, copied); err != nil {
		return Restored{}, err
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return Restored{}, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `ATTACH DATABASE ? AS backup`, copied); err != nil {
		return Restored{}, err
	}
	// Also after ctx has ended: the connection goes back to the pool.
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `DETACH DATABASE backup`) }()
	return replaceAll(ctx, conn)
}

func copyFile(from, to string) error {
	in, err := private.Open(from, private.Secret) // else others know the keys in it, or have put theirs into it
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := private.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close() // failed already
		return err
	}
	return out.Close()
}

// freshen checks that the file is a whole store and migrates it. An empty or foreign file
// must not pass: migrated, it would be a proper store that holds nothing.
func freshen(ctx context.Context, path string) error {
	db, err := openDB(path, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: it is damaged: %s", ErrNoBackup, verdict)
	}
	var tables int
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master
		WHERE type = 'table' AND name IN ('goose_db_version', 'api_keys', 'signing_keys')`).Scan(&tables)
	if err != nil {
		return err
	}
	if tables != 3 {
		return ErrNoBackup
	}
	return migrate(ctx, db, sqliteDialect)
}

// usedTokens is the one table that Restore adds to.
const usedTokens = "used_tokens"

// replaceAll replaces the rows of every table by those of the attached backup.
func replaceAll(ctx context.Context, conn *sql.Conn) (r Restored, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return r, err
	}
	defer func() { _ = tx.Rollback() }() // says ErrTxDone after a commit
	// Rows refer to each other; what counts is how it is at the end.
	if _, err := tx.ExecContext(ctx, `PRAGMA defer_foreign_keys = 1`); err != nil {
		return r, err
	}
	tables, err := storeTables(ctx, tx)
	if err != nil {
		return r, err
	}
	for table := range tables {
		if table == usedTokens {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM main.`+table); err != nil {
			return r, err
		}
	}
	for table, columns := range tables {
		insert := `INSERT INTO main.`
		if table == usedTokens {
			insert = `INSERT OR IGNORE INTO main.`
		}
		if _, err := tx.ExecContext(ctx, insert+table+` (`+columns+`) SELECT `+columns+` FROM backup.`+table); err != nil {
			return r, err
		}
	}
	err = tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM main.api_keys), (SELECT count(*) FROM main.devices), (SELECT count(*) FROM main.daemons)`).
		Scan(&r.Keys, &r.Devices, &r.Daemons)
	if err != nil {
		return r, err
	}
	return r, tx.Commit()
}

// storeTables are the store's tables, each with its columns in a row. The names are those
// of our migrations: they need no quotes.
func storeTables(ctx context.Context, tx *sql.Tx) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT m.name, c.name FROM main.sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND m.name <> 'goose_db_version' ORDER BY m.name, c.cid`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		columns[table] = append(columns[table], column)
	}
	joined := map[string]string{}
	for table, names := range columns {
		joined[table] = strings.Join(names, ", ")
	}
	return joined, rows.Err()
}
