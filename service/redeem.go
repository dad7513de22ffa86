package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
)

// pairTimeout bounds a redemption, from the session token to the daemon's WELCOME.
const pairTimeout = 45 * time.Second

// pairing is one redemption under way.
type pairing struct {
	session api.SessionResponse
	psk     config.PSK
	baseURL string
	caFile  string
	as      string
}

// Format hides the psk under every verb, and what else there is with it.
func (pairing) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") } // fmt.State cannot fail

// LogValue hides it from the log.
func (pairing) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// pairWith connects to the daemon, has the psk proved both ways and pins the daemon.
func (m *machine) pairWith(ctx context.Context, p pairing) (Paired, error) {
	ctx, cancel := context.WithTimeout(ctx, pairTimeout)
	defer cancel()
	clientKey, daemonKey := m.identity.PublicKey(), p.session.IdentityPublicKey
	proved := false // CheckPairing has accepted the daemon; read after Serve's WELCOME
	welcome := make(chan struct{})
	c, err := newClient(m, clientOptions{
		daemon: cmp.Or(p.as, p.session.Name), once: true, sink: func(Event) {},
		pairing: func(transcript [32]byte) []byte {
			return pairProof(p.psk, sbrp.RoleClient, transcript, clientKey, daemonKey)
		},
		checkPairing: func(transcript [32]byte, proof []byte) error {
			if !checkPairProof(p.psk, sbrp.RoleDaemon, transcript, clientKey, daemonKey, proof) {
				return errorf(CodeRefused, string(mux.RefusePairing),
					"somebody may be in the middle: ask for a new code over a safe channel",
					"the daemon could not prove the pairing code")
			}
			proved = true
			return nil
		},
		onEvent: func(e mux.Event) {
			if e.Kind == mux.EventConnected {
				close(welcome)
			}
		},
	})
	if err != nil {
		return Paired{}, err
	}
	if err := c.useControlPlane(p.baseURL, p.caFile); err != nil {
		return Paired{}, err
	}
	known := config.KnownDaemon{
		Name: c.name, ID: p.session.DaemonID, Key: daemonKey, Trust: config.TrustPaired,
		When: time.Now(), ControlURL: c.known.ControlURL, CAFile: c.known.CAFile,
	}
	c.known, c.pinned = known, true // pinned below, after the proof; never by the handshake
	if err := c.handshakeOnce(ctx, p.session, welcome); err != nil {
		return Paired{}, classify(err)
	}
	if !proved {
		return Paired{}, errorf(CodeRefused, string(mux.RefusePairing), "", "the daemon did not prove the pairing code")
	}
	book, err := m.ledger(ctx)
	if err != nil {
		return Paired{}, err
	}
	defer book.close()
	if err := m.dir.KnownDaemons().Add(known); err != nil {
		if _, changed := errors.AsType[*config.KeyChangedError](err); changed {
			return Paired{}, classify(err)
		}
		return Paired{}, stateError(err)
	}
	book.trusted(known)
	w, _ := c.link.Welcome()
	if err := rememberTargets(m.dir, known.Name, w.Targets); err != nil {
		c.m.log.Info("targets are not remembered", "daemon", known.Name, "err", err)
	}
	return Paired{Daemon: known.Name, DaemonID: known.ID, Fingerprint: daemonKey.Fingerprint(), Targets: targetNames(w)}, nil
}

// handshakeOnce runs the link until the daemon's WELCOME has come, and ends it.
func (c *client) handshakeOnce(ctx context.Context, resp api.SessionResponse, welcome <-chan struct{}) error {
	session, err := c.open(ctx, resp)
	if err != nil {
		return err
	}
	linkCtx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // waited for below
		defer close(ended)
		_ = c.link.Run(linkCtx) // ends with linkCtx
	}()
	served := make(chan error, 1)
	go func() { served <- c.link.Serve(linkCtx, session) }() // waited for below
	select {
	case <-welcome:
		_ = c.link.Close("paired") // tells the daemon; the link has done its work
		stop()
		<-served
		err = nil
	case err = <-served:
	}
	stop()
	<-ended
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
