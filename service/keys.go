package service

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"culvert/sbrp/control"
)

// CreateKey makes an API key in the relay's store and returns it with its secret, which is
// not stored and cannot be shown again. It works while the relay runs.
func CreateKey(ctx context.Context, o KeyStoreOptions, spec KeySpec) (KeyRow, string, error) {
	store, err := openExistingStore(ctx, o)
	if err != nil {
		return KeyRow{}, "", err
	}
	defer store.Close()
	want := control.KeySpec{Name: spec.Name, Account: spec.Account, Scopes: spec.Scopes}
	if spec.For > 0 {
		want.Expires = time.Now().Add(spec.For)
	}
	var key control.Key
	var secret string
	err = auditLocal(o, control.ActKeyCreated, func() (args []any, err error) {
		if key, secret, err = store.CreateKey(ctx, want); err != nil {
			err = errorf(CodeFailure, "key", "", "make API key: %w", err)
		}
		return []any{"key", key.ID, "name", key.Name, "account", key.Account, "scopes", key.Scopes}, err
	})
	if err != nil {
		return KeyRow{}, "", err
	}
	return keyRow(key), secret, nil
}

// ListKeys returns every API key of the store, without secrets.
func ListKeys(ctx context.Context, o KeyStoreOptions) ([]KeyRow, error) {
	store, err := openExistingStore(ctx, o)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	keys, err := store.ListKeys(ctx)
	if err != nil {
		return nil, errorf(CodeFailure, "key", "", "list API keys: %w", err)
	}
	rows := make([]KeyRow, 0, len(keys))
	for _, k := range keys {
		rows = append(rows, keyRow(k))
	}
	return rows, nil
}

// RevokeKey ends an API key: nothing can be enrolled with it any more, and devices that
// were enrolled with it are refused.
func RevokeKey(ctx context.Context, o KeyStoreOptions, id string) (KeyRow, error) {
	store, err := openExistingStore(ctx, o)
	if err != nil {
		return KeyRow{}, err
	}
	defer store.Close()
	var key control.Key
	err = auditLocal(o, control.ActKeyRevoked, func() (args []any, err error) {
		if key, err = store.RevokeKey(ctx, id); err != nil {
			err = errorf(CodeFailure, "key", "`culvert relay key list` shows the ids", "revoke API key: %w", err)
		}
		return []any{"key", key.ID, "name", key.Name, "account", key.Account}, err
	})
	if err != nil {
		return KeyRow{}, err
	}
	return keyRow(key), nil
}

// openExistingStore refuses to make an empty store where a mistyped path points.
func openExistingStore(ctx context.Context, o KeyStoreOptions) (*control.Store, error) {
	if path, ok := strings.CutPrefix(cmp.Or(o.DB, "sqlite:"+filepath.Join(o.StateDir, relayDBFile)), "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, errorf(CodeConfig, "store", "start `culvert relay` first, or give its --state-dir or --db", "find the relay's store: %w", err)
		}
	}
	dir, err := openDir(o.StateDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return openStore(ctx, dir, o.DB)
}

func keyRow(k control.Key) KeyRow {
	return KeyRow{
		ID: k.ID, Name: k.Name, Account: k.Account, Scopes: k.Scopes, Created: k.Created,
		Expires: optionalTime(k.Expires), Revoked: optionalTime(k.Revoked),
	}
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
