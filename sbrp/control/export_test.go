package control

import (
	"context"
	"database/sql"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
)

// What tests reach below the surface.

const (
	RetiredKeyLife = retiredKeyLife
	KeyringAge     = keyringAge
	RotateAfter    = rotateAfter
	MaxBuckets     = maxBuckets
)

type Limiter = limiter

var (
	NewLimiter  = newLimiter
	BucketOf    = bucketOf
	ErrReplayed = errReplayed
)

func (l *limiter) Take(key string, now time.Time) (time.Duration, bool) { return l.take(key, now) }
func (l *limiter) Spent(key string, now time.Time) time.Duration        { return l.spent(key, now) }
func (l *limiter) Prune(now time.Time)                                  { l.prune(now) }

func (l *limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buckets)
}

func (s *Server) Tidy(ctx context.Context) { s.tidy(ctx) }

func (s *Store) SetNow(now func() time.Time) { s.now = now }

func (s *Store) UseToken(ctx context.Context, key sbrp.PublicKey, jti string, until time.Time) error {
	return s.useToken(ctx, key, jti, until)
}

func (s *Store) AddPairing(ctx context.Context, l api.Lookup, daemonID string, expires time.Time) error {
	return s.addPairing(ctx, l, daemonID, expires)
}

func (s *Store) Redeem(ctx context.Context, l api.Lookup, key sbrp.PublicKey, now time.Time) (Device, Daemon, error) {
	return s.redeem(ctx, l, key, "", now)
}

func (s *Store) Enroll(ctx context.Context, key sbrp.PublicKey, k Key, now time.Time) (string, error) {
	return s.enroll(ctx, key, "", k, now)
}

func (s *Store) Register(ctx context.Context, key sbrp.PublicKey, name string, k Key, now time.Time) (Daemon, error) {
	return s.register(ctx, registration{key: key, keyID: k.ID, account: k.Account, name: name, proven: true}, now)
}

// Exec runs SQL, to make states that the code never makes.
func (s *Store) Exec(ctx context.Context, query string, args ...any) error {
	_, err := s.write.ExecContext(ctx, query, args...)
	return err
}

// Count counts a table's rows.
func (s *Store) Count(ctx context.Context, table string, args ...any) (n int, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM `+table, args...).Scan(&n)
	return n, err
}

// Hold runs f while this store holds the write lock.
func (s *Store) Hold(ctx context.Context, f func()) error {
	return s.update(ctx, func(*sql.Tx) error { f(); return nil })
}

// SeedOf is the secret of a signing key.
func SeedOf(k SigningKey) []byte { return k.private.Seed() }

// Rendezvous is the URL of those at which a daemon has its place.
func Rendezvous(urls []string, daemonID string) string {
	var nodes []node
	for _, url := range urls {
		nodes = append(nodes, node{url: url})
	}
	best, _ := rendezvous(nodes, daemonID, func(node) bool { return true })
	return best.url
}
