package control

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/token"
)

// enroll: POST /api/devices.
func (s *Server) enroll(r *http.Request) (any, error) {
	var in api.EnrollRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := api.CheckLabel(in.Name); err != nil {
		return nil, invalid("%v", err)
	}
	var t deviceToken
	var k Key
	err := s.guard(r, func() (err error) {
		if t, err = s.signed(r); err != nil {
			return err
		}
		if k, err = s.apiKey(r.Context(), in.APIKey); err != nil {
			return err
		}
		return s.spend(r.Context(), t)
	})
	if err != nil {
		return nil, err
	}
	id, err := s.store.enroll(r.Context(), t.key, in.Name, k, s.now())
	if err != nil {
		return nil, err
	}
	s.log.Info("device enrolled", "device", id, "fingerprint", t.key.Fingerprint().Short(), "account", k.Account, "key", k.ID)
	s.audit(r, ActDeviceEnrolled, "device", id, "name", in.Name, "fingerprint", t.key.Fingerprint(), "account", k.Account, "key", k.ID)
	return api.EnrollResponse{DeviceID: id, Account: k.Account, Scopes: k.Scopes}, nil
}

// listDaemons: GET /api/daemons.
func (s *Server) listDaemons(r *http.Request) (any, error) {
	dev, err := s.deviceOf(r)
	if err != nil {
		return nil, err
	}
	list, err := s.store.reachable(r.Context(), dev)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	online, err := s.places.online(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	status := make(map[string]string, len(online))
	for _, id := range online {
		status[id] = api.StatusOnline
	}
	out := make([]api.Daemon, len(list)) // [] and not null
	for i, d := range list {
		out[i] = api.Daemon{ID: d.ID, Name: d.Name, IdentityPublicKey: d.PublicKey, Status: cmp.Or(status[d.ID], api.StatusOffline)}
	}
	return out, nil
}

// createSession: POST /api/sessions. A daemon that is not connected gets a token all
// the same: the relay is the one to say so, at the moment of connecting.
func (s *Server) createSession(r *http.Request) (any, error) {
	var in api.SessionRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	dev, err := s.deviceOf(r)
	if err != nil {
		return nil, err
	}
	d, err := s.store.daemon(r.Context(), in.DaemonID)
	if errors.Is(err, ErrNotFound) {
		return nil, daemonNotFound
	}
	if err != nil {
		return nil, err
	}
	if err := s.mayReach(r, dev, d); err != nil {
		return nil, err
	}
	return s.session(r, dev, d)
}

// mayReach: a daemon of the account with scope client, or one that the device was
// paired with. One that the device may not know of is not found.
func (s *Server) mayReach(r *http.Request, dev Device, d Daemon) error {
	if d.Revoked {
		return daemonNotFound
	}
	own := !dev.Guest && dev.Account == d.Account
	if own && allows(dev.Scopes, api.ScopeClient) {
		return nil
	}
	granted, err := s.store.granted(r.Context(), dev.PublicKey, d.ID)
	switch {
	case err != nil:
		return err
	case granted:
		return nil
	case own:
		return forbidden("the API key that enrolled this device has no scope client")
	}
	return daemonNotFound
}

func (s *Server) session(r *http.Request, dev Device, d Daemon) (any, error) {
	url, err := s.places.find(r.Context(), d.ID)
	if err != nil {
		return nil, err
	}
	ring, err := s.keys.ring(r.Context(), keyringAge)
	if err != nil {
		return nil, err
	}
	now := s.now().Truncate(time.Second)
	raw, err := ring.signer.Mint(token.Claims{
		Issuer: s.Issuer(), IssuedAt: now, Expires: now.Add(s.cfg.SessionTTL), ID: rand.Text(),
		Subject: dev.ID, Role: sbrp.RoleClient, DaemonID: d.ID, SessionID: sbrp.NewSessionID(),
		Scopes: []string{token.ScopeSessionCreate}, Region: s.cfg.Region,
		Account: accountMark(d.Account), // the daemon's, also for a guest
	})
	if err != nil {
		return nil, err
	}
	s.audit(r, ActSessionIssued, "device", dev.ID, "guest", dev.Guest, "daemon", d.ID, "account", d.Account)
	return api.SessionResponse{
		RelayURL: url, Token: raw,
		DaemonID: d.ID, Name: d.Name, IdentityPublicKey: d.PublicKey,
	}, nil
}

// accountMark stands for an account in a relay token: a guest need not learn the account's
// name, and the relay only counts.
func accountMark(account string) string {
	sum := sha256.Sum256([]byte("culvert account " + account))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// healthz: the process answers.
func (s *Server) healthz(*http.Request) (any, error) { return map[string]string{"status": "ok"}, nil }

// readyz: the store answers too.
func (s *Server) readyz(r *http.Request) (any, error) {
	if err := s.store.Ping(r.Context()); err != nil {
		s.log.Warn("not ready", "err", err)
		return nil, refuse(http.StatusServiceUnavailable, api.CodeUnavailable, "the store is out of reach")
	}
	return map[string]string{"status": "ok"}, nil
}

// jwks: GET /.well-known/jwks.json.
func (s *Server) jwks(r *http.Request) (any, error) {
	ring, err := s.keys.ring(r.Context(), keyringAge)
	if err != nil {
		return nil, err
	}
	body, err := ring.keys.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return document{body: body, cache: fmt.Sprintf("public, max-age=%d", int(token.CacheTime.Seconds()))}, nil
}
