package service

import (
	"context"
	"net/url"
	"os"
	"strings"
	"time"

	"culvert/config"
	"culvert/sbrp/control"
)

// storeAwayAfter is how long the database may be away at the start before that is told:
// several nodes that start at once are in each other's way for less.
const storeAwayAfter = time.Second

// openStore opens the control plane's store; an empty dsn is the file in the state directory.
func openStore(ctx context.Context, dir *config.Dir, dsn string) (*control.Store, error) {
	dsn, err := storeName(dir, dsn)
	if err != nil {
		return nil, err
	}
	store, err := control.OpenStore(ctx, dsn)
	return store, storeError(err)
}

// waitForStore is openStore for a relay, which waits for its database, as one does that is
// started by a boot. Both results are nil when ctx has ended meanwhile.
func waitForStore(ctx context.Context, dir *config.Dir, o RelayOptions, sink Sink) (*control.Store, error) {
	dsn, err := storeName(dir, o.DB)
	if err != nil {
		return nil, err
	}
	begin, told := time.Now(), false
	log := logger(o.Logger)
	store, err := control.WaitForStore(ctx, dsn, func(err error) {
		log.Debug("the store is away", "err", err)
		if told || time.Since(begin) < storeAwayAfter {
			return
		}
		told = true
		log.Info("waiting for the store", "err", err)
		sink(Event{
			Time: time.Now(), Event: EventError, Code: "store_away", Message: "the database is away: " + err.Error(), // for people
			Mend: "start it, or check --db; the relay waits for it",
		})
	})
	if err != nil && ctx.Err() != nil {
		return nil, nil
	}
	return store, storeError(err)
}

// storeName is what control takes, and in which no password is.
func storeName(dir *config.Dir, dsn string) (string, error) {
	if dsn == "" {
		// Made here it is the directory's owner's, also where the superuser is first.
		f, err := dir.OpenFile(relayDBFile, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return "", stateError(err)
		}
		_ = f.Close() // nothing was written
		return "sqlite:" + dir.File(relayDBFile), nil
	}
	if u, err := url.Parse(dsn); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		if _, secret := u.User.Password(); secret || u.Query().Has("password") {
			return "", errorf(CodeUsage, "store", "leave it out, and put it into ~/.pgpass or a file that PGPASSFILE names",
				"the password in --db can be seen by everybody on this machine")
		}
	}
	return dsn, nil
}

func storeError(err error) error {
	if err == nil {
		return nil
	}
	return errorf(CodeConfig, "store", "check --db and --state-dir", "open store: %w", err)
}
