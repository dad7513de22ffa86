package service

import (
	"context"
	"errors"
	"time"

	"culvert/config"
	"culvert/sbrp"
)

// TrustList returns the pinned daemons; lines that cannot be read are problems.
func TrustList(c Common) (pins []config.KnownDaemon, problems []error, err error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	pins, broken, err := dir.KnownDaemons().List()
	if err != nil {
		return nil, nil, stateError(err)
	}
	for _, b := range broken {
		problems = append(problems, b)
	}
	return pins, problems, nil
}

// TrustAccept pins a daemon whose fingerprint a person has compared. The key itself comes
// from the control plane and must have that fingerprint. A pin of another key for that
// name is replaced: that is what the person says.
func TrustAccept(ctx context.Context, c Common, name string, fp sbrp.Fingerprint) (config.KnownDaemon, error) {
	m, err := openMachine(ctx, c)
	if err != nil {
		return config.KnownDaemon{}, err
	}
	cl, err := newClient(m, clientOptions{daemon: name, sink: func(Event) {}})
	if err != nil {
		return config.KnownDaemon{}, err
	}
	if err := cl.useControlPlane("", ""); err != nil {
		return config.KnownDaemon{}, err
	}
	found, err := cl.find(ctx, name)
	if err != nil {
		return config.KnownDaemon{}, classify(err)
	}
	if got := found.IdentityPublicKey.Fingerprint(); got != fp {
		return config.KnownDaemon{}, errorf(CodeIdentity, "fingerprint_differs", "compare it again with what `culvert expose` shows on the daemon's machine",
			"the control plane advertises another key for %q: given %s, advertised %s", name, fp, got)
	}
	known := config.KnownDaemon{
		Name: name, ID: found.ID, Key: found.IdentityPublicKey, Trust: config.TrustAccepted, When: time.Now(),
		ControlURL: cl.known.ControlURL, CAFile: cl.known.CAFile,
	}
	book, err := m.ledger(ctx)
	if err != nil {
		return config.KnownDaemon{}, err
	}
	defer book.close()
	if err := m.dir.KnownDaemons().Replace(known); err != nil {
		return config.KnownDaemon{}, stateError(err)
	}
	book.trusted(known)
	return known, nil
}

// TrustForget removes a pin.
func TrustForget(ctx context.Context, c Common, name string) (config.KnownDaemon, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return config.KnownDaemon{}, err
	}
	defer dir.Close()
	book, err := openLedger(ctx, dir, c.Logger)
	if err != nil {
		return config.KnownDaemon{}, err
	}
	defer book.close()
	gone, err := dir.KnownDaemons().Forget(name)
	if errors.Is(err, config.ErrNotFound) {
		return gone, errorf(CodeDaemon, "unknown_daemon", "`culvert trust list` shows the pinned daemons", "no pinned daemon is called %q", name)
	}
	if err != nil {
		return gone, stateError(err)
	}
	book.write(actForgotten, "daemon", gone.Name, "daemon_id", gone.ID, "daemon_key", gone.Key.String())
	return gone, nil
}
