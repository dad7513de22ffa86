package control

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/pressly/goose/v3"
)

// The directories have the same versions from 2 on: what changes one database's schema
// changes the other's in the same commit.
//
//go:embed migrations/*/*.sql
var migrationFiles embed.FS

// errNewer is a store that this version must not touch.
type errNewer struct{ has, knows int64 }

func (e errNewer) Error() string {
	return fmt.Sprintf("the store has schema version %d, this culvert knows up to %d: run the newer culvert, or restore a backup", e.has, e.knows)
}

// migrate brings the schema up to date. Each step is one transaction together with
// its entry in goose's table, so a second process at the same work fails cleanly
// and may try again.
func migrate(ctx context.Context, db *sql.DB, d dialect) error {
	dir, err := fs.Sub(migrationFiles, d.migrations)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.goose, db, dir, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	has, knows, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if has > knows {
		return errNewer{has, knows}
	}
	if has == knows {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	return nil
}

const (
	retryFor      = 10 * time.Second
	retryPause    = 20 * time.Millisecond // and up to twice that: two processes must not stay in step
	retryMaxPause = time.Second           // what it grows to for who waits for longer
)

// retry calls f until it succeeds or fails with what trying again does not heal: opening
// may collide with another process that opens the same file, and a database server may
// be starting. What still fails after retryFor is real. With away there is no such limit,
// and away is told of each failure.
func retry(ctx context.Context, heals func(error) bool, away func(error), f func() error) error {
	deadline := time.Now().Add(retryFor)
	pause := retryPause
	for {
		err := f()
		if err == nil || !heals(err) || ctx.Err() != nil || away == nil && time.Now().After(deadline) {
			return err
		}
		if away != nil {
			away(err)
			pause = min(pause+pause/2, retryMaxPause)
		}
		select {
		case <-time.After(pause + rand.N(pause)):
		case <-ctx.Done():
			return err
		}
	}
}
