package control

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"culvert/sbrp"
)

// useToken marks a device token as used until it would be refused for its age.
// errReplayed: it was used before, by this process or another.
func (s *Store) useToken(ctx context.Context, key sbrp.PublicKey, jti string, until time.Time) error {
	hash := sha256.Sum256(append(key[:], jti...)) // the key has a fixed length: no two pairs hash alike
	new, err := insert(ctx, s.quick, `INSERT INTO used_tokens (hash, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING`, hash[:], millis(until))
	if err != nil {
		return fmt.Errorf("mark device token as used: %w", err)
	}
	if !new {
		return errReplayed
	}
	return nil
}

// sweep removes what has expired: used tokens, pairing codes, retired signing keys.
func (s *Store) sweep(ctx context.Context, now time.Time) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		for _, q := range []struct {
			query string
			arg   int64
		}{
			{`DELETE FROM used_tokens WHERE expires <= $1`, millis(now)},
			{`DELETE FROM pairings WHERE expires <= $1`, millis(now)},
			{`DELETE FROM signing_keys WHERE state = 'retired' AND retired <= $1`, millis(now.Add(-retiredKeyLife))},
		} {
			if _, err := tx.ExecContext(ctx, q.query, q.arg); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sweep store: %w", err)
	}
	return nil
}
