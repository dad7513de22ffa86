package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"culvert/sbrp"
)

// Daemon is a registered daemon.
type Daemon struct {
	ID        string
	Account   string
	Name      string
	PublicKey sbrp.PublicKey
	KeyID     string // the API key under which it is registered
	Proven    bool   // its identity key signed a registration
	Revoked   bool   // that API key was revoked
	Created   time.Time
}

const daemonQuery = `SELECT m.id, m.account, m.name, m.public_key, m.key_id, m.proven, m.created, k.revoked
	FROM daemons m JOIN api_keys k ON k.id = m.key_id `

func scanDaemon(scan func(...any) error) (Daemon, error) {
	var d Daemon
	var key []byte
	var created, revoked int64
	err := scan(&d.ID, &d.Account, &d.Name, &key, &d.KeyID, &d.Proven, &created, &revoked)
	copy(d.PublicKey[:], key)
	d.Created, d.Revoked = fromMillis(created), revoked != 0
	return d, err
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func findDaemon(ctx context.Context, q querier, where string, args ...any) (Daemon, error) {
	d, err := scanDaemon(q.QueryRowContext(ctx, daemonQuery+`WHERE `+where, args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Daemon{}, ErrNotFound
	}
	if err != nil {
		return Daemon{}, fmt.Errorf("find daemon: %w", err)
	}
	return d, nil
}

// daemon finds a daemon by id. Unknown: ErrNotFound.
func (s *Store) daemon(ctx context.Context, id string) (Daemon, error) {
	if !isID(id) {
		return Daemon{}, ErrNotFound
	}
	return findDaemon(ctx, s.read, `m.id = $1`, id)
}

// isDaemonKey says whether any daemon has that identity key.
func (s *Store) isDaemonKey(ctx context.Context, key sbrp.PublicKey) (yes bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM daemons WHERE public_key = $1)`, key[:]).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("find daemon: %w", err)
	}
	return yes, nil
}

// ListDaemons lists all daemons of all accounts, by account and name.
func (s *Store) ListDaemons(ctx context.Context) ([]Daemon, error) {
	return s.listDaemons(ctx, daemonQuery+`ORDER BY m.account, lower(m.name)`)
}

// reachable lists the daemons that a device may know of: those of its account and
// those that it was paired with. Daemons of revoked API keys are nobody's.
func (s *Store) reachable(ctx context.Context, d Device) ([]Daemon, error) {
	return s.listDaemons(ctx, daemonQuery+`WHERE k.revoked = 0 AND (
			($1 AND m.account = $2) OR m.id IN (SELECT daemon_id FROM grants WHERE public_key = $3))
		ORDER BY lower(m.name), m.id`, !d.Guest, d.Account, d.PublicKey[:])
}

func (s *Store) listDaemons(ctx context.Context, query string, args ...any) ([]Daemon, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list daemons: %w", err)
	}
	defer rows.Close()
	var list []Daemon
	for rows.Next() {
		d, err := scanDaemon(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list daemons: %w", err)
		}
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list daemons: %w", err)
	}
	return list, nil
}

// RemoveDaemon forgets a daemon and who was paired with it. Unknown: ErrNotFound.
func (s *Store) RemoveDaemon(ctx context.Context, id string) error {
	res, err := s.write.ExecContext(ctx, `DELETE FROM daemons WHERE id = $1`, id)
	if err == nil {
		if n, nerr := res.RowsAffected(); nerr == nil && n == 0 {
			err = ErrNotFound
		}
	}
	if err != nil {
		return fmt.Errorf("remove daemon: %w", err)
	}
	return nil
}

// registration is what makes or changes a daemon.
type registration struct {
	key     sbrp.PublicKey
	keyID   string // API key that allows it
	account string
	name    string // empty: the old one, or a made-up one
	replace bool
	proven  bool // the request is signed by key
}

// register makes a daemon, or finds the account's daemon of the same identity key
// and brings it up to date; the id is random and stays. Errors: ErrNameTaken,
// errUnproven.
func (s *Store) register(ctx context.Context, r registration, now time.Time) (Daemon, error) {
	// Thousands of daemons come back at once when a relay has restarted, and mostly
	// nothing has changed: that costs a read, not an fsync.
	d, err := findDaemon(ctx, s.read, `m.account = $1 AND m.public_key = $2`, r.account, r.key[:])
	if err == nil && d.KeyID == r.keyID && !d.Revoked && d.Proven == r.proven && (r.name == "" || r.name == d.Name) {
		return d, nil
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		var err error
		d, err = findDaemon(ctx, tx, `m.account = $1 AND m.public_key = $2`, r.account, r.key[:])
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		found := err == nil
		if found && d.Proven && !r.proven {
			return errUnproven
		}
		if !found {
			d = Daemon{ID: "dmn_" + randomText(24), Account: r.account, PublicKey: r.key, Created: fromMillis(millis(now))}
			d.Name = "daemon-" + d.ID[4:12]
		}
		if r.name != "" {
			d.Name = r.name
		}
		if err := claimName(ctx, tx, d, r); err != nil {
			return err
		}
		d.KeyID, d.Proven, d.Revoked = r.keyID, d.Proven || r.proven, false
		_, err = tx.ExecContext(ctx,
			`INSERT INTO daemons (id, account, name, public_key, key_id, proven, created) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, key_id = excluded.key_id, proven = excluded.proven`,
			d.ID, d.Account, d.Name, d.PublicKey[:], d.KeyID, d.Proven, millis(d.Created))
		return err
	})
	if err != nil {
		return Daemon{}, fmt.Errorf("register daemon: %w", err)
	}
	return d, nil
}

// claimName makes sure that no other daemon of the account has the name. Taking
// it over removes the other, and so needs proof.
func claimName(ctx context.Context, tx *sql.Tx, d Daemon, r registration) error {
	other, err := findDaemon(ctx, tx, `m.account = $1 AND lower(m.name) = lower($2) AND m.id <> $3`, d.Account, d.Name, d.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !r.replace || !r.proven {
		return ErrNameTaken
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM daemons WHERE id = $1`, other.ID)
	return err
}
