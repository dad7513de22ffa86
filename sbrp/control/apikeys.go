package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"culvert/sbrp/api"
)

// Key is an API key without its secret.
type Key = api.Key

// KeySpec is an API key to make.
type KeySpec = api.KeySpec

const (
	keyPrefix    = "cvk_"
	keyIDSize    = 10 // characters of base32, 50 bits: enough to be told apart, not secret
	keySecret    = 32 // characters of base32, 160 bits
	maxKeyLength = 128
)

// randomText gives n characters of lower-case base32, 5 random bits each.
func randomText(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(strings.ToLower(rand.Text()))
	}
	return b.String()[:n]
}

// CreateKey makes an API key and returns its secret, which is not stored: only its
// SHA-256 is (the secret has 160 random bits, so a slow hash would add nothing).
func (s *Store) CreateKey(ctx context.Context, spec KeySpec) (Key, string, error) {
	return s.createKey(ctx, spec, s.now())
}

func (s *Store) createKey(ctx context.Context, spec KeySpec, now time.Time) (Key, string, error) {
	k, secret, err := addKey(ctx, s.write, spec, now)
	if err != nil {
		return Key{}, "", fmt.Errorf("create API key: %w", err)
	}
	return k, secret, nil
}

// CreateFirstKey is CreateKey for a store that has no key at all; otherwise it does
// nothing and returns an empty secret. Of several nodes that start on a new store, one
// makes the key.
func (s *Store) CreateFirstKey(ctx context.Context, spec KeySpec) (k Key, secret string, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		var some bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM api_keys)`).Scan(&some); err != nil || some {
			return err
		}
		k, secret, err = addKey(ctx, tx, spec, s.now())
		return err
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("create API key: %w", err)
	}
	return k, secret, nil
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func addKey(ctx context.Context, db execer, spec KeySpec, now time.Time) (Key, string, error) {
	k, err := newKey(spec, now)
	if err != nil {
		return Key{}, "", err
	}
	secret := keyPrefix + k.ID + "_" + randomText(keySecret)
	hash := sha256.Sum256([]byte(secret))
	_, err = db.ExecContext(ctx,
		`INSERT INTO api_keys (id, name, account, hash, scopes, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.ID, k.Name, k.Account, hash[:], strings.Join(k.Scopes, " "), millis(k.Created), millis(k.Expires))
	if err != nil {
		return Key{}, "", err
	}
	return k, secret, nil
}

func newKey(spec KeySpec, now time.Time) (Key, error) {
	k := Key{
		ID: randomText(keyIDSize), Name: spec.Name, Account: spec.Account,
		Created: fromMillis(millis(now)), Expires: fromMillis(millis(spec.Expires)),
	}
	if k.Account == "" {
		k.Account = api.DefaultAccount
	}
	if err := errors.Join(api.CheckLabel(k.Name), api.CheckLabel(k.Account)); err != nil {
		return Key{}, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if len(spec.Scopes) == 0 {
		return Key{}, fmt.Errorf("%w: give at least one scope of daemon, client, admin", errInvalid)
	}
	for _, scope := range spec.Scopes {
		switch scope {
		case api.ScopeDaemon, api.ScopeClient, api.ScopeAdmin:
		default:
			return Key{}, fmt.Errorf("%w: scopes are daemon, client and admin", errInvalid)
		}
		if !slices.Contains(k.Scopes, scope) {
			k.Scopes = append(k.Scopes, scope)
		}
	}
	if !k.Expires.IsZero() && !k.Expires.After(now) {
		return Key{}, fmt.Errorf("%w: expiry lies in the past", errInvalid)
	}
	return k, nil
}

const keyColumns = `id, name, account, scopes, created, expires, revoked`

func scanKey(scan func(...any) error, more ...any) (Key, error) {
	var k Key
	var scopes string
	var created, expires, revoked int64
	err := scan(append([]any{&k.ID, &k.Name, &k.Account, &scopes, &created, &expires, &revoked}, more...)...)
	k.Scopes = strings.Fields(scopes)
	k.Created, k.Expires, k.Revoked = fromMillis(created), fromMillis(expires), fromMillis(revoked)
	return k, err
}

// ListKeys lists all API keys, oldest first, revoked and expired ones included.
func (s *Store) ListKeys(ctx context.Context) ([]Key, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+keyColumns+` FROM api_keys ORDER BY created, id`)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	defer rows.Close()
	keys := []Key{}
	for rows.Next() {
		k, err := scanKey(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list API keys: %w", err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return keys, nil
}

// RevokeKey revokes an API key; see the package doc for what that ends. Revoking
// again changes nothing. Unknown: ErrNotFound.
func (s *Store) RevokeKey(ctx context.Context, id string) (Key, error) {
	return s.revokeKey(ctx, id, s.now())
}

func (s *Store) revokeKey(ctx context.Context, id string, now time.Time) (Key, error) {
	if !isID(id) {
		return Key{}, fmt.Errorf("revoke API key: %w", ErrNotFound)
	}
	row := s.write.QueryRowContext(ctx,
		`UPDATE api_keys SET revoked = CASE revoked WHEN 0 THEN $1 ELSE revoked END WHERE id = $2 RETURNING `+keyColumns, millis(now), id)
	k, err := scanKey(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Key{}, fmt.Errorf("revoke API key: %w", err)
	}
	return k, nil
}

// checkKey finds the API key of a secret. ErrNotFound: there is none, or it is
// revoked or expired; which of them is nobody's business who does not hold it.
func (s *Store) checkKey(ctx context.Context, secret string, now time.Time) (Key, error) {
	id, ok := keyID(secret)
	if !ok {
		return Key{}, ErrNotFound
	}
	var hash []byte
	row := s.read.QueryRowContext(ctx, `SELECT `+keyColumns+`, hash FROM api_keys WHERE id = $1`, id)
	k, err := scanKey(row.Scan, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		hash, err = make([]byte, sha256.Size), nil // compared all the same
	}
	if err != nil {
		return Key{}, fmt.Errorf("check API key: %w", err)
	}
	got := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(got[:], hash) != 1 || !k.Revoked.IsZero() || expired(k, now) {
		return Key{}, ErrNotFound
	}
	return k, nil
}

func keyID(secret string) (string, bool) {
	if len(secret) > maxKeyLength {
		return "", false
	}
	rest, ok := strings.CutPrefix(secret, keyPrefix)
	if !ok {
		return "", false
	}
	id, _, ok := strings.Cut(rest, "_")
	return id, ok && isID(id)
}

func expired(k Key, now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// allows says whether scopes grant one, admin granting all.
func allows(scopes []string, scope string) bool {
	return slices.Contains(scopes, scope) || slices.Contains(scopes, api.ScopeAdmin)
}
