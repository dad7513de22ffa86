package control

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"culvert/sbrp/token"
)

const (
	keyringAge   = 30 * time.Second // the store is asked for newer keys so often: another process may rotate
	keyringPause = time.Second      // and for a kid that is not there at most so often
)

// keyring is the signing keys of the store, in memory for a short while. It is a
// token.KeySource.
type keyring struct {
	store *Store
	now   func() time.Time
	log   *slog.Logger
	set   atomic.Pointer[ring]
	gate  chan struct{} // 1 slot: held while the store is read; a lock that a context can leave
}

// ring is one reading of the store; it never changes.
type ring struct {
	signer *token.Signer
	keys   *token.Keys
	read   time.Time
}

func newKeyring(store *Store, now func() time.Time, log *slog.Logger) *keyring {
	return &keyring{store: store, now: now, log: log, gate: make(chan struct{}, 1)}
}

// Key implements token.KeySource. It blocks only when the store has to be read.
func (k *keyring) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	r, err := k.ring(ctx, keyringAge)
	if err != nil {
		return nil, err
	}
	if key, err := r.keys.Key(ctx, kid); err == nil {
		return key, nil
	}
	// Unknown, so perhaps new: signed by another process that has just rotated.
	if r, err = k.ring(ctx, keyringPause); err != nil {
		return nil, err
	}
	return r.keys.Key(ctx, kid)
}

// ring returns a reading that is no older than maxAge, or the last one if the store
// cannot be read.
func (k *keyring) ring(ctx context.Context, maxAge time.Duration) (*ring, error) {
	if r := k.fresh(maxAge); r != nil {
		return r, nil
	}
	select {
	case k.gate <- struct{}{}:
		defer func() { <-k.gate }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for signing keys: %w", context.Cause(ctx))
	}
	if r := k.fresh(maxAge); r != nil { // read while we waited
		return r, nil
	}
	r, err := k.load(ctx)
	if err == nil {
		k.set.Store(r)
		return r, nil
	}
	if old := k.set.Load(); old != nil {
		k.log.Warn("cannot read signing keys, going on with those at hand", "err", err)
		return old, nil
	}
	return nil, err
}

func (k *keyring) fresh(maxAge time.Duration) *ring {
	r := k.set.Load()
	if r == nil || k.now().Sub(r.read) >= maxAge {
		return nil
	}
	return r
}

func (k *keyring) load(ctx context.Context) (*ring, error) {
	now := k.now()
	list, err := k.store.signingKeys(ctx, now)
	if err != nil {
		return nil, err
	}
	public := make([]token.PublicKey, len(list))
	for i, key := range list {
		public[i] = token.PublicKey{ID: key.ID, Key: key.Public}
	}
	keys, err := token.NewKeys(public...)
	if err != nil {
		return nil, err
	}
	signer, err := token.NewSigner(list[0].ID, list[0].private)
	if err != nil {
		return nil, err
	}
	return &ring{signer: signer, keys: keys, read: now}, nil
}
