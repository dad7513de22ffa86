package service

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"culvert/config"
	"culvert/sbrp/control"
)

// SigningRow is the key that signs relay tokens, without its private half.
type SigningRow struct {
	ID    string    `json:"id"`
	Began time.Time `json:"began"` // when it began to sign
}

// RotateSigningKey makes the next signing key the one that signs. Nothing breaks: every relay
// has known it since the rotation before, and tokens of the old key stay good until they expire.
func RotateSigningKey(ctx context.Context, o KeyStoreOptions) (SigningRow, error) {
	store, err := openExistingStore(ctx, o)
	if err != nil {
		return SigningRow{}, err
	}
	defer store.Close()
	var key control.SigningKey
	err = auditLocal(o, control.ActKeyRotated, func() (args []any, err error) {
		if key, err = store.RotateSigningKey(ctx); err != nil {
			err = errorf(CodeFailure, "rotate", "", "rotate: %w", err)
		}
		return []any{"key", key.ID}, err
	})
	if err != nil {
		return SigningRow{}, err
	}
	return SigningRow{ID: key.ID, Began: key.Began}, nil
}

// Backup writes the relay's store to a new file, also while the relay runs.
func Backup(ctx context.Context, o KeyStoreOptions, file string) error {
	store, err := openExistingStore(ctx, o)
	if err != nil {
		return err
	}
	defer store.Close()
	return auditLocal(o, actBackup, func() ([]any, error) {
		return []any{"file", file}, backupError(store.Backup(ctx, file))
	})
}

// Acts that are done at the relay's machine only.
const (
	actBackup  = "store backed up"
	actRestore = "store restored"
)

func backupError(err error) error {
	if errors.Is(err, control.ErrNoFile) {
		return errorf(CodeUsage, "backup", "pg_dump copies it, also while relays run", "%w", err)
	}
	if errors.Is(err, fs.ErrExist) {
		return errorf(CodeUsage, "backup", "name a file that is not there yet", "%w", err)
	}
	if err != nil {
		return errorf(CodeFailure, "backup", "", "%w", err)
	}
	return nil
}

// RestoreResult counts what the store holds after a Restore.
type RestoreResult struct {
	Keys    int `json:"keys"`
	Devices int `json:"devices"`
	Daemons int `json:"daemons"`
}

// Restore replaces what the relay's store holds by what a backup holds, also while the relay
// runs. A store that is not there yet is made.
func Restore(ctx context.Context, o KeyStoreOptions, file string) (RestoreResult, error) {
	dir, err := openDir(o.StateDir)
	if err != nil {
		return RestoreResult{}, err
	}
	defer dir.Close()
	store, err := openStore(ctx, dir, o.DB)
	if err != nil {
		return RestoreResult{}, err
	}
	defer store.Close()
	var r control.Restored
	err = auditLocal(o, actRestore, func() (args []any, err error) {
		r, err = store.Restore(ctx, file)
		return []any{"file", file, "keys", r.Keys, "devices", r.Devices, "daemons", r.Daemons}, err
	})
	_, loose := errors.AsType[*config.PermissionError](err)
	switch {
	case loose:
		return RestoreResult{}, &Error{Code: CodeConfig, Name: "restore", Err: err} // it says the mend
	case errors.Is(err, control.ErrNoFile):
		return RestoreResult{}, errorf(CodeUsage, "restore", "pg_restore puts back what pg_dump has copied", "%w", err)
	case errors.Is(err, control.ErrNoBackup), errors.Is(err, fs.ErrNotExist):
		return RestoreResult{}, errorf(CodeConfig, "restore", "name a file that `culvert relay backup` wrote", "%w", err)
	case err != nil:
		return RestoreResult{}, errorf(CodeFailure, "restore", "", "%w", err)
	}
	return RestoreResult{Keys: r.Keys, Devices: r.Devices, Daemons: r.Daemons}, nil
}
