package control

import (
	"errors"
	"net/http"
	"time"

	"culvert/sbrp/api"
)

var pairingNotFound = refuse(http.StatusNotFound, api.CodePairingNotFound, "that pairing code is wrong, was used, or has expired")

// createPairing: POST /api/pairings, by the daemon itself.
func (s *Server) createPairing(r *http.Request) (any, error) {
	var in api.PairingWire
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.Lookup == (api.Lookup{}) {
		return nil, invalid("lookup is missing")
	}
	most := int(api.MaxPairingTTL / time.Second)
	if in.TTLSeconds < 0 || in.TTLSeconds > most {
		return nil, invalid("ttlSeconds must be 1 to %d", most)
	}
	if in.TTLSeconds == 0 {
		in.TTLSeconds = most
	}
	d, err := s.daemonOf(r, in.DaemonID)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if wait, ok := s.pairings.take(d.ID, now); !ok {
		return nil, tooMany(wait)
	}
	expires := now.Add(time.Duration(in.TTLSeconds) * time.Second)
	err = s.store.addPairing(r.Context(), in.Lookup, d.ID, expires)
	if errors.Is(err, errExists) {
		return nil, refuse(http.StatusConflict, api.CodePairingExists, "that lookup is in use; make a new code")
	}
	if err != nil {
		return nil, err
	}
	s.audit(r, ActPairingCreated, "daemon", d.ID, "account", d.Account, "expires", expires.UTC())
	return api.PairingResponse{ExpiresAt: expires.UTC()}, nil
}

// cancelPairing: DELETE /api/pairings/{lookup}, by the daemon itself.
func (s *Server) cancelPairing(r *http.Request) (any, error) {
	var lookup api.Lookup
	if err := lookup.UnmarshalText([]byte(r.PathValue("lookup"))); err != nil {
		return nil, invalid("%v", err)
	}
	var t deviceToken
	err := s.guard(r, func() (err error) {
		if t, err = s.signed(r); err != nil {
			return err
		}
		yes, err := s.store.isDaemonKey(r.Context(), t.key)
		if err != nil {
			return err
		}
		if !yes {
			if _, err := s.known(r.Context(), t); err != nil {
				return err
			}
			return pairingNotFound
		}
		return s.spend(r.Context(), t)
	})
	if err != nil {
		return nil, err
	}
	err = s.store.cancelPairing(r.Context(), lookup, t.key)
	if errors.Is(err, ErrNotFound) {
		return nil, pairingNotFound
	}
	if err == nil {
		s.audit(r, ActPairingCancelled, "fingerprint", t.key.Fingerprint())
	}
	return nil, err
}

// redeemPairing: POST /api/pairings/redeem, by any device key. Every try counts
// against the address, so that codes cannot be guessed.
func (s *Server) redeemPairing(r *http.Request) (any, error) {
	var in api.RedeemRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := api.CheckLabel(in.Name); err != nil {
		return nil, invalid("%v", err)
	}
	if wait, ok := s.redemptions.take(bucketOf(s.cfg.RemoteAddr(r)), s.now()); !ok {
		return nil, tooMany(wait)
	}
	var t deviceToken
	err := s.guard(r, func() (err error) {
		if t, err = s.signed(r); err != nil {
			return err
		}
		return s.spend(r.Context(), t)
	})
	if err != nil {
		return nil, err
	}
	dev, d, err := s.store.redeem(r.Context(), in.Lookup, t.key, in.Name, s.now())
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, pairingNotFound
	case errors.Is(err, errRevoked):
		return nil, unauthorizedRevoked()
	case err != nil:
		return nil, err
	}
	s.log.Info("pairing code used", "daemon", d.ID, "device", dev.ID, "guest", dev.Guest, "fingerprint", t.key.Fingerprint().Short())
	s.audit(r, ActPairingRedeemed, "daemon", d.ID, "account", d.Account, "device", dev.ID, "guest", dev.Guest, "fingerprint", t.key.Fingerprint())
	return s.session(r, dev, d)
}
