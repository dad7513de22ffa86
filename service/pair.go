package service

import (
	"cmp"
	"context"
	"errors"
	"time"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
)

const (
	// maxPairTTL is how long a code lives at most (SBRP section 8, Quick Connect).
	maxPairTTL = 5 * time.Minute
	// pairPoll is how often a waiting `culvert pair` looks whether its code has been used.
	pairPoll = 250 * time.Millisecond
)

// MakePairing makes a one-time code for a new client: its lookup goes to the control
// plane, its psk into this machine's state directory, where a running daemon finds it.
func MakePairing(ctx context.Context, o PairOptions) (PairingCode, error) {
	ttl := o.TTL
	if ttl == 0 {
		ttl = maxPairTTL
	}
	if ttl < 0 || ttl > maxPairTTL {
		return PairingCode{}, errorf(CodeUsage, "ttl", "use --ttl 5m or less", "a code may live for %v at most, not %v", maxPairTTL, o.TTL)
	}
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return PairingCode{}, err
	}
	e, err := m.enrolled()
	if err != nil {
		return PairingCode{}, err
	}
	cl, _, err := m.controlPlane(e.URL, e.CAFile)
	if err != nil {
		return PairingCode{}, err
	}
	// Registering again changes nothing and tells the daemon's id.
	reg, err := cl.Register(ctx, api.RegisterRequest{IdentityPublicKey: m.identity.PublicKey()})
	if err != nil {
		return PairingCode{}, classify(err)
	}
	code, err := m.makePairing(ctx, cl, reg.DaemonID, o, ttl)
	code.URL = e.URL
	return code, err
}

func (m *machine) makePairing(ctx context.Context, cl *api.Client, daemonID string, o PairOptions, ttl time.Duration) (PairingCode, error) {
	secret := newPairSecret()
	lookup, psk := secret.derive()
	pending := config.Pairing{Lookup: lookup, PSK: psk, Expires: time.Now().Add(ttl), Targets: o.Targets, For: o.For}
	if len(pending.Targets) == 0 {
		pending.Targets = []string{config.AllTargets}
	}
	book, err := m.ledger(ctx)
	if err != nil {
		return PairingCode{}, err
	}
	defer book.close()
	// First here, then at the control plane: a code that can be redeemed is always known.
	if err := m.dir.Pairings().Add(pending); err != nil {
		return PairingCode{}, stateError(err)
	}
	_, err = cl.CreatePairing(ctx, api.PairingRequest{DaemonID: daemonID, Lookup: lookup, TTL: ttl})
	if err != nil {
		_ = m.dir.Pairings().Remove(lookup) // it is useless now, and expires in any case
		return PairingCode{}, classify(err)
	}
	args := []any{"targets", pending.Targets, "until", pending.Expires.UTC()} // and nothing of the code
	if pending.For > 0 {
		args = append(args, "for", pending.For.String())
	}
	book.write(actCodeMade, args...)
	return PairingCode{
		Code: secret.code(), ExpiresAt: pending.Expires, Running: daemonRunning(m.dir),
		lookup: lookup,
	}, nil
}

// WaitPairing blocks until the code has been used and returns the new client. It fails
// when the code expires unused or ctx ends.
func WaitPairing(ctx context.Context, c Common, code PairingCode) (ClientRow, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return ClientRow{}, err
	}
	defer dir.Close()
	tick := time.NewTicker(pairPoll)
	defer tick.Stop()
	for {
		state, key, err := dir.Pairings().State(code.lookup)
		if err != nil {
			return ClientRow{}, stateError(err)
		}
		switch state {
		case config.PairingUsed:
			if g, err := dir.AuthorizedClients().Lookup(key); err == nil {
				return clientRow(g, nil), nil
			} // else the daemon is about to write the grant
		case config.PairingGone:
			return ClientRow{}, errorf(CodeRefused, "expired", "make a new code: culvert pair", "nobody used the pairing code in time")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ClientRow{}, ctx.Err()
		}
	}
}

// RedeemPairing uses a code at the client: it learns the daemon from the control plane,
// proves the psk to it and has it proved inside the encrypted session, and only then pins
// the daemon.
func RedeemPairing(ctx context.Context, o RedeemOptions) (Paired, error) {
	secret, err := parsePairCode(o.Code)
	if err != nil {
		return Paired{}, pairCodeError(err)
	}
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return Paired{}, err
	}
	base := o.URL
	caFile, err := absolute(o.CAFile)
	if err != nil {
		return Paired{}, err
	}
	if base == "" {
		e, err := m.enrolled()
		if err != nil {
			if e := classify(err); e.Code == CodeLogin {
				e.Mend = "culvert login https://YOUR-RELAY, or as a guest: culvert pair CODE --relay https://RELAY"
			}
			return Paired{}, err
		}
		base, caFile = e.URL, e.CAFile
	}
	cl, _, err := m.controlPlane(base, caFile)
	if err != nil {
		return Paired{}, err
	}
	lookup, psk := secret.derive()
	sess, err := cl.RedeemPairing(ctx, lookup)
	if err != nil {
		return Paired{}, classify(err)
	}
	return m.pairWith(ctx, pairing{
		session: sess, psk: psk, baseURL: base, caFile: caFile, as: o.As,
	})
}

func pairCodeError(err error) *Error {
	if errors.Is(err, errCodeCheck) {
		return &Error{Code: CodeRefused, Name: string(mux.RefusePairing), Err: err, Mend: "type it again, or ask for a new one"}
	}
	return &Error{Code: CodeUsage, Name: "pairing_code", Err: err, Mend: "paste the whole code that `culvert pair` printed at the daemon"}
}

// takePairing finds the pending pairing that a client's proof is good for, uses it up, and
// authorises the client. It returns the daemon's own proof for the client, and the grant.
func (m *machine) takePairing(h mux.Hello) (proof []byte, granted config.Grant, err error) {
	daemonKey := m.identity.PublicKey()
	clientKey := sbrp.PublicKey(h.Key)
	p, err := m.dir.Pairings().Take(func(p config.Pairing) bool {
		return checkPairProof(p.PSK, sbrp.RoleClient, h.Transcript, clientKey, daemonKey, h.Pairing)
	}, h.Key)
	if errors.Is(err, config.ErrNoPairing) {
		return nil, config.Grant{}, &mux.RefusedError{Code: mux.RefusePairing, Text: "the pairing code is wrong, used or expired"}
	}
	if err != nil {
		return nil, config.Grant{}, err
	}
	grant := config.Grant{Key: clientKey, Name: config.CleanName(cmp.Or(p.Name, h.Name)), Targets: p.Targets}
	if p.For > 0 {
		grant.Expires = time.Now().Add(p.For)
	}
	if granted, err = m.dir.AuthorizedClients().Grant(grant); err != nil {
		return nil, config.Grant{}, err
	}
	return pairProof(p.PSK, sbrp.RoleDaemon, h.Transcript, clientKey, daemonKey), granted, nil
}
