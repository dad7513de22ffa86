package control

import (
	"errors"
	"net/http"

	"culvert/sbrp/api"
)

// listKeys: GET /api/keys.
func (s *Server) listKeys(r *http.Request) (any, error) {
	if _, err := s.admin(r); err != nil {
		return nil, err
	}
	return s.store.ListKeys(r.Context())
}

// createKey: POST /api/keys.
func (s *Server) createKey(r *http.Request) (any, error) {
	by, err := s.admin(r)
	if err != nil {
		return nil, err
	}
	var spec KeySpec
	if err := decode(r, &spec); err != nil {
		return nil, err
	}
	k, secret, err := s.store.createKey(r.Context(), spec, s.now())
	if errors.Is(err, errInvalid) {
		return nil, invalid("%v", err)
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("API key created", "key", k.ID, "account", k.Account, "scopes", k.Scopes, "by", by.ID)
	s.audit(r, ActKeyCreated, "key", k.ID, "name", k.Name, "account", k.Account, "scopes", k.Scopes, "by", by.ID)
	return api.CreateKeyResponse{Key: k, Secret: secret}, nil
}

// revokeKey: DELETE /api/keys/{id}.
func (s *Server) revokeKey(r *http.Request) (any, error) {
	by, err := s.admin(r)
	if err != nil {
		return nil, err
	}
	k, err := s.store.revokeKey(r.Context(), r.PathValue("id"), s.now())
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(http.StatusNotFound, api.CodeNotFound, "there is no API key of that id")
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("API key revoked", "key", k.ID, "by", by.ID)
	s.audit(r, ActKeyRevoked, "key", k.ID, "name", k.Name, "account", k.Account, "by", by.ID)
	return k, nil
}
