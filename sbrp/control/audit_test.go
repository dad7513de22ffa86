package control_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// Every act leaves a line that says who, to whom and from where, and no line holds a secret.
func TestAudit(t *testing.T) {
	audit := new(lockedBuffer)
	p := newPlane(t, func(c *control.Config) { c.Audit = slog.New(slog.NewJSONHandler(audit, nil)) })
	ctx := t.Context()
	d, id := p.daemon("laptop")
	presence, err := d.Presence(ctx, id)
	must(t, err)
	phone := p.enrolled(api.ScopeClient)
	session, err := phone.CreateSession(ctx, id)
	must(t, err)
	lookup, other := api.Lookup{1, 2, 3}, api.Lookup{4, 5, 6}
	for _, l := range []api.Lookup{lookup, other} {
		_, err := d.CreatePairing(ctx, api.PairingRequest{DaemonID: id, Lookup: l})
		must(t, err)
	}
	_, err = newDevice(t, p).RedeemPairing(ctx, lookup)
	must(t, err)
	must(t, d.CancelPairing(ctx, other))
	created := p.send("POST", api.PathKeys, p.admin, `{"name":"office","scopes":["client"]}`)
	var k api.CreateKeyResponse
	must(t, json.Unmarshal([]byte(created.body), &k))
	p.send("DELETE", api.PathKeys+"/"+k.ID, p.admin, "")
	p.comeFrom("203.0.113.7")
	p.send("GET", api.PathDaemons, "wrong", "")
	p.forward(control.RotateAfter)
	p.server.Tidy(ctx)
	p.server.Tidy(ctx) // nothing to do

	got := map[string]int{}
	for line := range strings.Lines(audit.String()) {
		var l map[string]any
		must(t, json.Unmarshal([]byte(line), &l))
		act, _ := l["msg"].(string)
		got[act]++
		from := "192.0.2.1"
		if act == control.ActRefused {
			from = "203.0.113.7"
		}
		if act != control.ActKeyRotated && l["remote"] != from {
			t.Errorf("not from %s: %s", from, line)
		}
		if act == control.ActSessionIssued && l["daemon"] != id {
			t.Errorf("not to %s: %s", id, line)
		}
	}
	for act, want := range map[string]int{
		control.ActDeviceEnrolled: 2, control.ActDaemonRegistered: 1, control.ActPresenceIssued: 2, control.ActSessionIssued: 2,
		control.ActPairingCreated: 2, control.ActPairingRedeemed: 1, control.ActPairingCancelled: 1,
		control.ActKeyCreated: 1, control.ActKeyRevoked: 1, control.ActRefused: 1, control.ActKeyRotated: 1,
	} {
		if got[act] != want {
			t.Errorf("%d lines say %q, want %d", got[act], act, want)
		}
		delete(got, act)
	}
	if len(got) > 0 {
		t.Errorf("other acts: %v", got)
	}
	text, err := lookup.MarshalText()
	must(t, err)
	for name, secret := range map[string]string{
		"admin key": p.admin, "new key": k.Secret, "presence token": presence.PresenceToken, "session token": session.Token, "lookup": string(text),
	} {
		if secret == "" || strings.Contains(audit.String(), secret) || strings.Contains(p.logged(), secret) {
			t.Errorf("the %s (%d characters) stands in a log", name, len(secret))
		}
	}
}
