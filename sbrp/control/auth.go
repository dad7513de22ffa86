package control

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"culvert/sbrp/api"
)

// guard runs an authentication. A remote address that has failed too often waits,
// right or wrong; a failure counts (a wrong clock does not: it is an accident, and
// guessing has nothing from it).
func (s *Server) guard(r *http.Request, authenticate func() error) error {
	from := bucketOf(s.cfg.RemoteAddr(r))
	if wait := s.failures.spent(from, s.now()); wait > 0 {
		return tooMany(wait)
	}
	err := authenticate()
	if e, ok := errors.AsType[*refusal](err); ok && e.status == http.StatusUnauthorized && e.code != api.CodeClockSkew {
		s.failures.take(from, s.now())
		s.log.Info("authentication failed", "remote", from, "path", r.Pattern, "reason", e.message)
		s.audit(r, ActRefused, "path", r.Pattern, "reason", e.message)
	}
	return err
}

// credential is what stands in the Authorization header; empty if nothing does.
func credential(r *http.Request) (string, error) {
	h := r.Header.Values("Authorization")
	if len(h) == 0 {
		return "", nil
	}
	scheme, raw, ok := strings.Cut(h[0], " ")
	raw = strings.TrimSpace(raw)
	if len(h) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return "", unauthorized("send one Authorization header: Bearer, and a token")
	}
	return raw, nil
}

// signed returns the device token of a request. The caller wants guard around it.
func (s *Server) signed(r *http.Request) (deviceToken, error) {
	raw, err := credential(r)
	if err != nil {
		return deviceToken{}, err
	}
	if raw == "" {
		return deviceToken{}, unauthorized("sign the request with a device token")
	}
	return s.parseDeviceToken(r, raw)
}

// spend marks a device token as used. It comes after every check that can be made
// without writing, so that strangers cannot make us write.
func (s *Server) spend(ctx context.Context, t deviceToken) error {
	err := s.store.useToken(ctx, t.key, t.id, t.until)
	if errors.Is(err, errReplayed) {
		return unauthorized("the device token was used before")
	}
	return err
}

// deviceOf authenticates a device that is enrolled, or a guest.
func (s *Server) deviceOf(r *http.Request) (dev Device, err error) {
	err = s.guard(r, func() error {
		t, err := s.signed(r)
		if err != nil {
			return err
		}
		if dev, err = s.known(r.Context(), t); err != nil {
			return err
		}
		return s.spend(r.Context(), t)
	})
	return dev, err
}

func (s *Server) known(ctx context.Context, t deviceToken) (Device, error) {
	dev, err := s.store.device(ctx, t.key)
	switch {
	case errors.Is(err, ErrNotFound):
		return Device{}, unauthorized("this device is not enrolled; log in with an API key")
	case err != nil:
		return Device{}, err
	case dev.Revoked:
		return Device{}, unauthorizedRevoked()
	}
	return dev, nil
}

func unauthorizedRevoked() *refusal {
	return unauthorized("the API key that enrolled this machine was revoked; log in with another")
}

// daemonOf authenticates a request by a daemon's own device key, whether that
// device is enrolled or was registered by an API key alone. With an id it must be
// that daemon; another's is not found.
func (s *Server) daemonOf(r *http.Request, id string) (d Daemon, err error) {
	err = s.guard(r, func() error {
		t, err := s.signed(r)
		if err != nil {
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
			return daemonNotFound
		}
		d, err = s.store.daemon(r.Context(), id)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && !d.PublicKey.Equal(t.key):
			return daemonNotFound
		case err != nil:
			return err
		case d.Revoked:
			return unauthorizedRevoked()
		}
		return s.spend(r.Context(), t)
	})
	return d, err
}

// apiKey authenticates an API key that came in a body.
func (s *Server) apiKey(ctx context.Context, secret string) (Key, error) {
	k, err := s.store.checkKey(ctx, strings.TrimSpace(secret), s.now())
	if errors.Is(err, ErrNotFound) {
		return Key{}, unauthorized("the API key is wrong, expired or revoked")
	}
	return k, err
}

// admin authenticates an API key with scope admin, in the Authorization header.
func (s *Server) admin(r *http.Request) (k Key, err error) {
	err = s.guard(r, func() error {
		raw, err := credential(r)
		if err != nil {
			return err
		}
		if raw == "" {
			return unauthorized("send an API key with scope admin")
		}
		if k, err = s.apiKey(r.Context(), raw); err != nil {
			return err
		}
		if !allows(k.Scopes, api.ScopeAdmin) {
			return forbidden("the API key needs scope admin")
		}
		return nil
	})
	return k, err
}
