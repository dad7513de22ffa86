package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"culvert/config/private"
)

// ErrNoFile is a store in PostgreSQL, whose own tools back it up and restore it.
var ErrNoFile = errors.New("this store is a PostgreSQL database")

// Backup writes the store, as it is at one moment, to a new file that only
// its owner can read. Servers
// may go on using the store meanwhile. The file holds the signing keys: whoever has it
// can mint tokens. It blocks on the disk; a file that is there already is an error that
// is fs.ErrExist.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.backup(ctx, path); err != nil {
		return fmt.Errorf("back up store to %s: %w", path, err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, path string) error {
	if !s.dialect.isFile {
		return ErrNoFile
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return err
	}
	// Under another name until it is whole.
	f, err := private.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	partial := f.Name()
	defer func() {
		_ = f.Close()          // closed already, or the error says why not
		_ = os.Remove(partial) // is gone after the rename
	}()
	// Reads in one transaction, beside which WAL lets others write.
	if _, err := s.write.ExecContext(ctx, `VACUUM INTO ?`, partial); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil { // Windows renames no open file
		return err
	}
	return os.Rename(partial, path)
}
