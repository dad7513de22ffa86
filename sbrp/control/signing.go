package control

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"culvert/sbrp/token"
)

// States of a signing key. There is always one current and one next.
const (
	SigningNext    = "next"    // shown in the JWKS document, so that relays know it before it signs
	SigningCurrent = "current" // signs
	SigningRetired = "retired" // signs no more; what it signed stays good as long as tokens may live
)

const (
	// MaxPresenceTTL bounds Config.PresenceTTL, and so how long a retired key is kept.
	MaxPresenceTTL = 24 * time.Hour
	// retiredKeyLife covers the longest token, the relay's skew, and a minute in which a
	// server may still sign with what it has in memory.
	retiredKeyLife = MaxPresenceTTL + token.Skew + keyringAge + 30*time.Second
	// rotateAfter is the age at which Server.Run rotates. Nothing breaks a key within
	// a month; it is so short to keep rotation a thing that happens.
	rotateAfter = 30 * 24 * time.Hour
)

// SigningKey is a key that signs relay tokens. It prints without its private half.
type SigningKey struct {
	ID      string
	State   string
	Public  ed25519.PublicKey
	Created time.Time
	Began   time.Time // when it became current
	Retired time.Time

	private ed25519.PrivateKey
}

// String names the key.
func (k SigningKey) String() string { return fmt.Sprintf("{ID:%s State:%s}", k.ID, k.State) }

// Format keeps the private half out of every verb.
func (k SigningKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// SigningKeys returns the keys whose tokens are good: the current one first, then
// the next, then those retired of late. The first call on a new store makes the
// first two.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	return s.signingKeys(ctx, s.now())
}

func (s *Store) signingKeys(ctx context.Context, now time.Time) ([]SigningKey, error) {
	keys, err := listSigningKeys(ctx, s.read, now)
	if err == nil && !complete(keys) {
		err = s.update(ctx, func(tx *sql.Tx) error {
			if keys, err = listSigningKeys(ctx, tx, now); err != nil || complete(keys) {
				return err // another process was first
			}
			return fillSigningKeys(ctx, tx, keys, now)
		})
		if err == nil {
			keys, err = listSigningKeys(ctx, s.read, now)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return keys, nil
}

// RotateSigningKey retires the current signing key, makes the next one current,
// and makes a new next one. Running servers follow within a minute; tokens of the
// retired key stay good until they expire.
func (s *Store) RotateSigningKey(ctx context.Context) (SigningKey, error) {
	return s.rotate(ctx, s.now(), anyAge)
}

// anyAge makes rotate rotate, even a key that another process's clock has just made.
const anyAge = -1

// rotate does it if the current key has signed for at least minAge; of several
// processes at once only the first does. It returns the current key.
func (s *Store) rotate(ctx context.Context, now time.Time, minAge time.Duration) (SigningKey, error) {
	if _, err := s.signingKeys(ctx, now); err != nil { // makes them if need be
		return SigningKey{}, err
	}
	began := int64(math.MaxInt64)
	if minAge != anyAge {
		began = millis(now.Add(-minAge))
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE signing_keys SET state = 'retired', retired = $1 WHERE state = 'current' AND began <= $2`,
			millis(now), began)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		keys, err := listSigningKeys(ctx, tx, now)
		if err != nil {
			return err
		}
		return fillSigningKeys(ctx, tx, keys, now)
	})
	if err != nil {
		return SigningKey{}, fmt.Errorf("rotate signing key: %w", err)
	}
	keys, err := s.signingKeys(ctx, now)
	if err != nil {
		return SigningKey{}, err
	}
	return keys[0], nil
}

func complete(keys []SigningKey) bool {
	return len(keys) >= 2 && keys[0].State == SigningCurrent && keys[1].State == SigningNext
}

// fillSigningKeys makes sure of one current and one next key: the next becomes
// current if there is no current.
func fillSigningKeys(ctx context.Context, tx *sql.Tx, keys []SigningKey, now time.Time) error {
	have := map[string]bool{}
	for _, k := range keys {
		have[k.State] = true
	}
	if !have[SigningCurrent] && have[SigningNext] {
		if _, err := tx.ExecContext(ctx, `UPDATE signing_keys SET state = 'current', began = $1 WHERE state = 'next'`, millis(now)); err != nil {
			return err
		}
		have[SigningCurrent], have[SigningNext] = true, false
	}
	for _, state := range []string{SigningCurrent, SigningNext} {
		if have[state] {
			continue
		}
		began := int64(0)
		if state == SigningCurrent {
			began = millis(now)
		}
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails (Go 1.24)
		_, err := tx.ExecContext(ctx, `INSERT INTO signing_keys (kid, seed, state, created, began) VALUES ($1, $2, $3, $4, $5)`,
			"k"+randomText(16), seed, state, millis(now), began)
		if err != nil {
			return err
		}
	}
	return nil
}

type rowsQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func listSigningKeys(ctx context.Context, q rowsQuerier, now time.Time) ([]SigningKey, error) {
	rows, err := q.QueryContext(ctx, `SELECT kid, seed, state, created, began, retired FROM signing_keys
		WHERE state <> 'retired' OR retired > $1
		ORDER BY CASE state WHEN 'current' THEN 0 WHEN 'next' THEN 1 ELSE 2 END, retired DESC, kid`, millis(now.Add(-retiredKeyLife)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []SigningKey
	for rows.Next() {
		var k SigningKey
		var seed []byte
		var created, began, retired int64
		if err := rows.Scan(&k.ID, &seed, &k.State, &created, &began, &retired); err != nil {
			return nil, err
		}
		if len(seed) != ed25519.SeedSize {
			return nil, errors.New("a stored signing key has the wrong length")
		}
		k.private = ed25519.NewKeyFromSeed(seed)
		k.Public = k.private.Public().(ed25519.PublicKey)
		k.Created, k.Began, k.Retired = fromMillis(created), fromMillis(began), fromMillis(retired)
		keys = append(keys, k)
	}
	return keys, rows.Err()
}
