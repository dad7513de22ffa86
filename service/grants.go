package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"culvert/config"
	"culvert/sbrp"
)

// Grant lets a client reach targets, and replaces what it could reach before. A new client
// is given by its public key, a known one by its name too. A running daemon applies it at
// once.
func Grant(ctx context.Context, o GrantOptions) (ClientRow, error) {
	dir, err := openDir(o.StateDir)
	if err != nil {
		return ClientRow{}, err
	}
	defer dir.Close()
	book, err := openLedger(ctx, dir, o.Logger)
	if err != nil {
		return ClientRow{}, err
	}
	defer book.close()
	g := config.Grant{Name: o.Name, Targets: o.Targets}
	if len(g.Targets) == 0 {
		g.Targets = []string{config.AllTargets}
	}
	if o.For > 0 {
		g.Expires = time.Now().Add(o.For)
	}
	if key, err := sbrp.ParsePublicKey(o.Client); err == nil {
		g.Key = key
		if g.Name == "" {
			g.Name = knownName(dir, key)
		}
	} else if g.Name == "" {
		g.Name = o.Client
	}
	written, err := dir.AuthorizedClients().Grant(g)
	if errors.Is(err, config.ErrNotFound) {
		return ClientRow{}, errorf(CodeUsage, "unknown_client", "give its public key, which the refusal at the client and `culvert clients` show; or pair: culvert pair",
			"no client is called %q", o.Client)
	}
	if err != nil {
		return ClientRow{}, stateError(err)
	}
	book.granted(written)
	return clientRow(written, applyGrants(ctx, dir)), nil
}

// knownName is the name that the file has for a key, or one made from the key.
func knownName(dir *config.Dir, key sbrp.PublicKey) string {
	if g, err := dir.AuthorizedClients().Lookup(key); err == nil {
		return g.Name
	}
	return "client-" + fmt.Sprintf("%x", key[:4])
}

// Revoke takes all grants of a client away. A running daemon drops its live connections.
func Revoke(ctx context.Context, c Common, client string) (ClientRow, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return ClientRow{}, err
	}
	defer dir.Close()
	book, err := openLedger(ctx, dir, c.Logger)
	if err != nil {
		return ClientRow{}, err
	}
	defer book.close()
	gone, err := dir.AuthorizedClients().Revoke(client)
	if errors.Is(err, config.ErrNotFound) {
		return ClientRow{}, errorf(CodeUsage, "unknown_client", "`culvert clients` lists them", "no client is called %q", client)
	}
	if err != nil {
		return ClientRow{}, stateError(err)
	}
	running := applyGrants(ctx, dir) // first: it is what may not wait
	book.write(actRevoked, who(gone.Key, gone.Name)...)
	return clientRow(gone, running), nil
}

// applyGrants tells the running daemon, if there is one, and returns its links; nil
// without one. A daemon that does not answer looks at the file within a second by itself.
func applyGrants(ctx context.Context, dir *config.Dir) *adminStatus {
	st, err := askDaemon(ctx, dir, http.MethodPost, "/v1/grants/apply")
	if err != nil {
		return nil
	}
	return &st
}

// Clients lists who may connect, with the links that each has to the running daemon.
// Lines of the file that cannot be read grant nothing and are returned as problems.
func Clients(ctx context.Context, c Common) (rows []ClientRow, problems []error, err error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	grants, broken, err := dir.AuthorizedClients().List()
	if err != nil {
		return nil, nil, stateError(err)
	}
	for _, b := range broken {
		problems = append(problems, b)
	}
	var running *adminStatus
	if st, err := askDaemon(ctx, dir, http.MethodGet, "/v1/status"); err == nil {
		running = &st
	}
	for _, g := range grants {
		rows = append(rows, clientRow(g, running))
	}
	return rows, problems, nil
}

func clientRow(g config.Grant, running *adminStatus) ClientRow {
	row := ClientRow{
		Name: g.Name, Key: g.Key, Fingerprint: g.Key.Fingerprint(), Targets: slices.Clone(g.Targets),
		Expires: optionalTime(g.Expires), Expired: g.ExpiredAt(time.Now()),
	}
	if running != nil {
		row.Running, row.Live = true, running.Live[publicKeyText(g.Key)]
	}
	return row
}

func publicKeyText(key [32]byte) string { return sbrp.PublicKey(key).String() }
