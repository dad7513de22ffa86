package service

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/endpoint"
)

// connect gives the daemon's endpoint a presence token. While the control plane is out of
// reach, the last token serves as long as it lives: the relay may well be there.
func (x *exposure) connect(ctx context.Context) (endpoint.Presence, error) {
	resp, err := x.api.Register(ctx, api.RegisterRequest{
		IdentityPublicKey: x.m.identity.PublicKey(), Name: x.called(), Replace: x.o.Replace,
		Unreachable: x.unreachable(),
	})
	if err != nil {
		if p, ok := x.lastPresence(); ok && !isVerdict(err) {
			return p, nil
		}
		e := classify(err)
		if e.Code.Permanent() {
			return endpoint.Presence{}, endpoint.Permanent(e)
		}
		return endpoint.Presence{}, e
	}
	if err := checkRelayURL(x.url, resp.RelayURL); err != nil {
		return endpoint.Presence{}, err
	}
	p := endpoint.Presence{URL: resp.RelayURL, Token: resp.PresenceToken, DaemonID: resp.DaemonID, Expires: resp.PresenceExpires}
	x.mu.Lock()
	x.presence = p
	x.mu.Unlock()
	return p, nil
}

func (x *exposure) nameOr(name string) string { return cmp.Or(name, x.fallback) }

// called is the daemon's name.
func (x *exposure) called() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.name
}

// unreachable are the relays that have just been tried in vain.
func (x *exposure) unreachable() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tried.urls(time.Now())
}

// isVerdict tells a control plane's answer from its being out of reach.
func isVerdict(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && e.Status < http.StatusInternalServerError && e.Status != http.StatusTooManyRequests
}

func (x *exposure) lastPresence() (endpoint.Presence, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.presence, x.presence.Token != "" && time.Until(x.presence.Expires) > time.Minute
}

// renew keeps the last presence token fresh, so that a relay restart during an outage of
// the control plane can be survived.
func (x *exposure) renew(ctx context.Context) error {
	const check = time.Minute
	tick := time.NewTicker(check)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p, ok := x.lastPresence()
		if !ok || time.Until(p.Expires) > 30*time.Minute {
			continue
		}
		resp, err := x.api.Presence(ctx, p.DaemonID)
		if err != nil {
			x.m.log.Debug("presence not renewed; trying again", "err", err)
			continue
		}
		p.URL, p.Token, p.Expires = resp.RelayURL, resp.PresenceToken, resp.PresenceExpires
		x.mu.Lock()
		x.presence = p
		x.mu.Unlock()
	}
}
