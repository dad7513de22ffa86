package control_test

import (
	"strings"
	"testing"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// The tokens of an account bear one mark, its daemons' and their clients', guests included; it
// is not the account's name. A presence token bears the limit of sessions.
func TestTokensBearLimits(t *testing.T) {
	p := newPlane(t, func(c *control.Config) { c.MaxSessions = 7 })
	ctx := t.Context()
	d, id := p.daemonIn("acme", "laptop")
	_, otherID := p.daemonIn("other", "laptop")
	presence, err := d.Presence(ctx, id)
	must(t, err)
	claims := p.verify(presence.PresenceToken)
	if claims.MaxSessions != 7 || claims.Account == "" || strings.Contains(claims.Account, "acme") {
		t.Errorf("presence token: %+v", claims)
	}
	own, err := p.enrolledIn("acme", api.ScopeClient).CreateSession(ctx, id)
	must(t, err)
	lookup := api.Lookup{1}
	_, err = d.CreatePairing(ctx, api.PairingRequest{DaemonID: id, Lookup: lookup})
	must(t, err)
	guest, err := newDevice(t, p).RedeemPairing(ctx, lookup)
	must(t, err)
	for name, raw := range map[string]string{"own": own.Token, "guest": guest.Token} {
		if got := p.verify(raw); got.Account != claims.Account || got.MaxSessions != 0 {
			t.Errorf("%s session token: %+v", name, got)
		}
	}
	foreign, err := p.enrolledIn("other", api.ScopeClient).CreateSession(ctx, otherID)
	must(t, err)
	if got := p.verify(foreign.Token); got.Account == claims.Account || got.Account == "" {
		t.Errorf("another account has the mark %q too", got.Account)
	}
	if _, err := control.New(control.Config{Store: p.store, PublicURL: p.url, RelayURL: func() string { return relayURL }, MaxSessions: -1}); err == nil {
		t.Error("a negative limit was taken")
	}
}
