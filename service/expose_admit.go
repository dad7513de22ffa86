package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"culvert/config"
	"culvert/mux"
)

// admit decides on a client that has proved its key: a good pairing proof or a grant.
func (x *exposure) admit(_ context.Context, h mux.Hello) (mux.Admission, error) {
	adm, err := x.decide(h)
	if err != nil {
		x.acts.notAdmitted(h, err)
	}
	return adm, err
}

func (x *exposure) decide(h mux.Hello) (mux.Admission, error) {
	var proof []byte
	if len(h.Pairing) > 0 {
		var granted config.Grant
		var err error
		if proof, granted, err = x.m.takePairing(h); err != nil {
			return mux.Admission{}, err
		}
		x.acts.paired(granted)
	}
	g, err := x.clients.Lookup(h.Key)
	if denied, ok := errors.AsType[*config.DeniedError](err); ok {
		if denied.Reason == config.Expired {
			return mux.Admission{}, &mux.RefusedError{Code: mux.RefuseExpired, Text: "the grant has expired"}
		}
		return mux.Admission{}, &mux.RefusedError{Code: mux.RefuseNotAuthorized, Text: "this client is not authorised here"}
	}
	if err != nil {
		return mux.Admission{}, err
	}
	var targets []mux.TargetInfo
	for _, t := range x.exposer.Targets().List() {
		if g.Grants(t.Name) {
			targets = append(targets, t.Info())
		}
	}
	return mux.Admission{Name: g.Name, Targets: targets, PairingProof: proof}, nil
}

// applyGrants makes an edit of the grants felt at once: clients that are no longer
// authorised lose their links, streams to targets that are no longer granted are reset.
func (x *exposure) applyGrants() {
	if !x.isRunning() {
		return
	}
	x.exposer.Recheck() // first, so that what ends has this reason
	seen := map[[32]byte]bool{}
	for _, st := range x.links.Links() {
		if seen[st.Peer.Key] {
			continue
		}
		seen[st.Peer.Key] = true
		if _, err := x.clients.Lookup(st.Peer.Key); err != nil {
			x.links.Drop(st.Peer.Key, mux.CodeRevoked, "the grant was revoked or has expired")
		}
	}
}

// AuthorizedCount tells how many clients could connect now: a daemon that nobody may reach
// says what to run next.
func AuthorizedCount(c Common) (int, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	grants, _, err := dir.AuthorizedClients().List()
	if err != nil {
		return 0, stateError(err)
	}
	now := time.Now()
	grants = slices.DeleteFunc(grants, func(g config.Grant) bool { return g.ExpiredAt(now) })
	return len(grants), nil
}
