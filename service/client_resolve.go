package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"culvert/config"
	"culvert/sbrp/api"
)

// pin pins the daemon whose key has been proved, and writes that down.
func (c *client) pin(ctx context.Context) error {
	book, err := c.m.ledger(ctx)
	if err != nil {
		return err
	}
	defer book.close()
	if err := c.m.dir.KnownDaemons().Add(c.known); err != nil {
		return stateError(err)
	}
	c.pinned = true
	book.trusted(c.known)
	return nil
}

// resolve finds the daemon behind the user's name: a pin, or else, with the user's
// consent, what the control plane advertises.
func (c *client) resolve(ctx context.Context) error {
	if c.api != nil && c.known.ID != "" {
		return nil
	}
	known, err := c.m.dir.KnownDaemons().Lookup(c.name)
	switch {
	case err == nil:
		c.known, c.pinned = known, true
		return c.useControlPlane(known.ControlURL, known.CAFile)
	case !errors.Is(err, config.ErrNotFound):
		return stateError(err)
	}
	if err := c.useControlPlane("", ""); err != nil {
		if e := classify(err); e.Code == CodeLogin {
			e.Mend = "culvert pair CODE, with a code from `culvert pair` at the daemon; or culvert login first"
			return e
		}
		return err
	}
	found, err := c.find(ctx, c.name)
	if err != nil {
		return err
	}
	fp := found.IdentityPublicKey.Fingerprint()
	if c.trust == nil || !c.trust(c.name, fp) {
		return errorf(CodeRefused, "not_trusted",
			fmt.Sprintf("pair with it (`culvert pair` at the daemon), or compare the fingerprint there and run: culvert trust accept %s --fingerprint %s", c.name, fp),
			"daemon %q is not pinned on this machine", c.name)
	}
	c.known.Name, c.known.ID, c.known.Key = c.name, found.ID, found.IdentityPublicKey
	c.known.Trust, c.known.When = config.TrustControlPlane, time.Now()
	return nil
}

// useControlPlane sets the client of the daemon's control plane; empty means the one that
// this machine is logged in to.
func (c *client) useControlPlane(url, caFile string) error {
	if url == "" {
		e, err := c.m.enrolled()
		if err != nil {
			return err
		}
		url, caFile = e.URL, e.CAFile
	}
	cl, tr, err := c.m.controlPlane(url, caFile)
	if err != nil {
		return err
	}
	c.api, c.net = cl, tr
	c.known.ControlURL, c.known.CAFile = url, caFile
	return nil
}

// find looks a daemon up by name or id in the control plane's list.
func (c *client) find(ctx context.Context, name string) (api.Daemon, error) {
	list, err := c.api.Daemons(ctx)
	if err != nil {
		return api.Daemon{}, err
	}
	for _, d := range list {
		if d.Name == name || d.ID == name {
			return d, nil
		}
	}
	return api.Daemon{}, errorf(CodeDaemon, api.CodeDaemonNotFound, "`culvert daemons` lists the daemons of this account", "no daemon is called %q", name)
}

// explainUnknown says more when the pinned daemon is gone from the control plane: if
// another key has taken its name, then the identity has changed as far as the user is
// concerned.
func (c *client) explainUnknown(ctx context.Context, cause error) error {
	e, ok := errors.AsType[*api.Error](cause)
	if !ok || e.Code != api.CodeDaemonNotFound || !c.pinned {
		return cause
	}
	found, err := c.find(ctx, c.known.Name)
	if err != nil || found.IdentityPublicKey.Equal(c.known.Key) {
		return cause
	}
	return identityChanged(c.known.Key, found.IdentityPublicKey)
}
