package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"culvert/sbrp"
)

// Device is a machine that the control plane knows by its device key.
type Device struct {
	ID        string
	Name      string
	PublicKey sbrp.PublicKey
	Account   string   // empty for a guest
	Scopes    []string // of the API key that enrolled it; none for a guest
	KeyID     string   // that API key; empty for a guest
	Guest     bool     // came by a pairing code, may reach what it was paired with
	Revoked   bool     // its API key was revoked: it is refused
	Created   time.Time
}

const deviceQuery = `SELECT d.id, d.name, d.public_key, d.key_id, d.created,
	coalesce(k.account, ''), coalesce(k.scopes, ''), coalesce(k.revoked, 0)
	FROM devices d LEFT JOIN api_keys k ON k.id = d.key_id `

func scanDevice(scan func(...any) error) (Device, error) {
	var d Device
	var key []byte
	var keyID sql.NullString
	var scopes string
	var created, revoked int64
	err := scan(&d.ID, &d.Name, &key, &keyID, &created, &d.Account, &scopes, &revoked)
	copy(d.PublicKey[:], key)
	d.KeyID, d.Guest = keyID.String, !keyID.Valid
	d.Scopes, d.Revoked, d.Created = strings.Fields(scopes), revoked != 0, fromMillis(created)
	return d, err
}

// ListDevices lists all devices, oldest first, guests included.
func (s *Store) ListDevices(ctx context.Context) ([]Device, error) {
	rows, err := s.read.QueryContext(ctx, deviceQuery+`ORDER BY d.created, d.id`)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	defer rows.Close()
	list := []Device{}
	for rows.Next() {
		d, err := scanDevice(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return list, nil
}

// RemoveDevice forgets a device, what it was paired with, and its daemons. It can
// come back only with an API key or a pairing code. Unknown: ErrNotFound.
func (s *Store) RemoveDevice(ctx context.Context, id string) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		var key []byte
		err := tx.QueryRowContext(ctx, `DELETE FROM devices WHERE id = $1 RETURNING public_key`, id).Scan(&key)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM daemons WHERE public_key = $1`, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove device: %w", err)
	}
	return nil
}

// device finds a device by its key. Unknown: ErrNotFound.
func (s *Store) device(ctx context.Context, key sbrp.PublicKey) (Device, error) {
	d, err := scanDevice(s.read.QueryRowContext(ctx, deviceQuery+`WHERE d.public_key = $1`, key[:]).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Device{}, ErrNotFound
	}
	if err != nil {
		return Device{}, fmt.Errorf("find device: %w", err)
	}
	return d, nil
}

// enroll ties a device to an API key, newly or again. Its id stays.
func (s *Store) enroll(ctx context.Context, key sbrp.PublicKey, name string, k Key, now time.Time) (id string, err error) {
	err = s.write.QueryRowContext(ctx,
		`INSERT INTO devices (public_key, id, name, key_id, created) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (public_key) DO UPDATE SET key_id = excluded.key_id,
			name = CASE excluded.name WHEN '' THEN devices.name ELSE excluded.name END
		RETURNING id`,
		key[:], newDeviceID(), name, k.ID, millis(now)).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("enrol device: %w", err)
	}
	return id, nil
}

func newDeviceID() string { return "dev_" + randomText(20) }
