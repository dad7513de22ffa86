package control

import (
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/token"
)

// register: POST /api/daemons/register. Who may: an enrolled device for its own key;
// an API key in the body, for the device key that signs the request; an API key
// alone (the published library's daemons), which proves nothing about the key.
func (s *Server) register(r *http.Request) (any, error) {
	var in api.RegisterRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.IdentityPublicKey.IsZero() {
		return nil, invalid("identityPublicKey is missing")
	}
	if in.Name != "" {
		if err := api.CheckDaemonName(in.Name); err != nil {
			return nil, invalid("%v", err)
		}
	}
	if len(in.Unreachable) > api.MaxUnreachable {
		return nil, invalid("unreachable may name %d relays at most", api.MaxUnreachable)
	}
	reg, err := s.mayRegister(r, in)
	if err != nil {
		return nil, err
	}
	d, err := s.store.register(r.Context(), reg, s.now())
	switch {
	case errors.Is(err, ErrNameTaken):
		return nil, refuse(http.StatusConflict, api.CodeNameTaken, "another daemon of this account has that name")
	case errors.Is(err, errUnproven):
		return nil, forbidden("this daemon has proved its identity key before; sign the request with it")
	case err != nil:
		return nil, err
	}
	s.log.Info("daemon registered", "daemon", d.ID, "name", d.Name, "fingerprint", d.PublicKey.Fingerprint().Short(), "account", d.Account, "proven", reg.proven)
	s.audit(r, ActDaemonRegistered, "daemon", d.ID, "name", d.Name, "fingerprint", d.PublicKey.Fingerprint(), "account", d.Account, "key", d.KeyID, "proven", reg.proven)
	p, err := s.presenceToken(r, d, in.Unreachable)
	if err != nil {
		return nil, err
	}
	return api.RegisterResponse{
		DaemonID: d.ID, Name: d.Name,
		PresenceToken: p.PresenceToken, RelayURL: p.RelayURL, PresenceExpires: p.PresenceExpires,
	}, nil
}

func (s *Server) mayRegister(r *http.Request, in api.RegisterRequest) (reg registration, err error) {
	reg = registration{key: in.IdentityPublicKey, name: in.Name, replace: in.Replace}
	err = s.guard(r, func() error {
		raw, err := credential(r)
		if err != nil {
			return err
		}
		if raw == "" {
			if in.APIKey == "" {
				return unauthorized("sign the request with a device token, or send an API key")
			}
			return s.byAPIKey(r, in.APIKey, &reg)
		}
		t, err := s.parseDeviceToken(r, raw)
		if err != nil {
			return err
		}
		if !t.key.Equal(in.IdentityPublicKey) {
			return forbidden("a device registers its own key only: identityPublicKey is another")
		}
		reg.proven = true
		if in.APIKey != "" {
			err = s.byAPIKey(r, in.APIKey, &reg)
		} else {
			err = s.byDevice(r, t, &reg)
		}
		if err != nil {
			return err
		}
		return s.spend(r.Context(), t)
	})
	return reg, err
}

func (s *Server) byAPIKey(r *http.Request, secret string, reg *registration) error {
	k, err := s.apiKey(r.Context(), secret)
	if err != nil {
		return err
	}
	if !allows(k.Scopes, api.ScopeDaemon) {
		return forbidden("the API key has no scope daemon")
	}
	reg.keyID, reg.account = k.ID, k.Account
	return nil
}

func (s *Server) byDevice(r *http.Request, t deviceToken, reg *registration) error {
	dev, err := s.known(r.Context(), t)
	if err != nil {
		return err
	}
	if dev.Guest || !allows(dev.Scopes, api.ScopeDaemon) {
		return forbidden("the API key that enrolled this device has no scope daemon")
	}
	reg.keyID, reg.account = dev.KeyID, dev.Account
	return nil
}

// presence: POST /api/daemons/presence.
func (s *Server) presence(r *http.Request) (any, error) {
	var in api.PresenceRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	d, err := s.daemonOf(r, in.DaemonID)
	if err != nil {
		return nil, err
	}
	return s.presenceToken(r, d, nil)
}

func (s *Server) presenceToken(r *http.Request, d Daemon, unreachable []string) (api.PresenceResponse, error) {
	url, err := s.places.home(r.Context(), d.ID, unreachable)
	if err != nil {
		return api.PresenceResponse{}, err
	}
	ring, err := s.keys.ring(r.Context(), keyringAge)
	if err != nil {
		return api.PresenceResponse{}, err
	}
	now := s.now().Truncate(time.Second)
	expires := now.Add(s.cfg.PresenceTTL)
	raw, err := ring.signer.Mint(token.Claims{
		Issuer: s.Issuer(), IssuedAt: now, Expires: expires, ID: rand.Text(),
		Subject: d.ID, Role: sbrp.RoleDaemon, DaemonID: d.ID,
		Scopes: []string{token.ScopeSessionResume}, Region: s.cfg.Region,
		MaxSessions: s.cfg.MaxSessions, Account: accountMark(d.Account),
	})
	if err != nil {
		return api.PresenceResponse{}, err
	}
	s.audit(r, ActPresenceIssued, "daemon", d.ID, "account", d.Account, "expires", expires.UTC())
	return api.PresenceResponse{PresenceToken: raw, RelayURL: url, PresenceExpires: expires.UTC()}, nil
}
