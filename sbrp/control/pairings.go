package control

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
)

// Only the hash of a lookup is stored: the lookup opens a door, and a copy of the
// store must not.
func lookupHash(l api.Lookup) []byte {
	h := sha256.Sum256(append([]byte("culvert pairing lookup "), l[:]...))
	return h[:]
}

// addPairing announces a code. errExists: that lookup is announced already.
func (s *Store) addPairing(ctx context.Context, l api.Lookup, daemonID string, expires time.Time) error {
	new, err := insert(ctx, s.write, `INSERT INTO pairings (hash, daemon_id, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		lookupHash(l), daemonID, millis(expires))
	if err == nil && !new {
		err = errExists
	}
	if err != nil {
		return fmt.Errorf("create pairing: %w", err)
	}
	return nil
}

// cancelPairing takes back a code of a daemon with that identity key; ErrNotFound
// if there is none, it is another's, or the daemon's API key was revoked.
func (s *Store) cancelPairing(ctx context.Context, l api.Lookup, key sbrp.PublicKey) error {
	var id string
	err := s.write.QueryRowContext(ctx,
		`DELETE FROM pairings WHERE hash = $1 AND daemon_id IN (
			SELECT m.id FROM daemons m JOIN api_keys k ON k.id = m.key_id WHERE m.public_key = $2 AND k.revoked = 0)
		RETURNING daemon_id`,
		lookupHash(l), key[:]).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("cancel pairing: %w", err)
	}
	return nil
}

// redeem uses a code up, whoever comes first, and lets the device reach its daemon
// from now on; a device that is unknown becomes a guest. Wrong, used and expired
// codes are ErrNotFound alike, and so is one of a daemon whose API key was revoked.
func (s *Store) redeem(ctx context.Context, l api.Lookup, key sbrp.PublicKey, name string, now time.Time) (dev Device, d Daemon, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, `DELETE FROM pairings WHERE hash = $1 AND expires > $2 RETURNING daemon_id`,
			lookupHash(l), millis(now)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if d, err = findDaemon(ctx, tx, `m.id = $1 AND k.revoked = 0`, id); err != nil {
			return err
		}
		dev, err = grant(ctx, tx, key, name, d, now)
		return err
	})
	if err != nil {
		return Device{}, Daemon{}, fmt.Errorf("redeem pairing: %w", err)
	}
	return dev, d, nil
}

func grant(ctx context.Context, tx *sql.Tx, key sbrp.PublicKey, name string, d Daemon, now time.Time) (Device, error) {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO devices (public_key, id, name, key_id, created) VALUES ($1, $2, $3, NULL, $4) ON CONFLICT (public_key) DO NOTHING`,
		key[:], newDeviceID(), name, millis(now))
	if err != nil {
		return Device{}, err
	}
	dev, err := scanDevice(tx.QueryRowContext(ctx, deviceQuery+`WHERE d.public_key = $1`, key[:]).Scan)
	if err != nil {
		return Device{}, err
	}
	if dev.Revoked {
		return Device{}, errRevoked
	}
	// What the account allows needs no grant of its own, which would outlive a move of
	// the device to another account.
	if dev.Account == d.Account && allows(dev.Scopes, api.ScopeClient) {
		return dev, nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO grants (public_key, daemon_id, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		key[:], d.ID, millis(now))
	return dev, err
}

// granted says whether a device was paired with a daemon.
func (s *Store) granted(ctx context.Context, key sbrp.PublicKey, daemonID string) (yes bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM grants WHERE public_key = $1 AND daemon_id = $2)`, key[:], daemonID).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("find grant: %w", err)
	}
	return yes, nil
}
