package control_test

import (
	"fmt"
	"testing"

	"culvert/sbrp/api"
)

func TestDaemonNames(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	a, aID := p.daemon("laptop")
	b := p.enrolled(api.ScopeDaemon)
	for _, name := range []string{"laptop", "LapTop"} { // ssh lower-cases host names
		_, err := b.Register(ctx, api.RegisterRequest{IdentityPublicKey: b.key, Name: name})
		wantCode(t, err, 409, "name_taken")
	}
	// A refused registration leaves nothing behind.
	if list, err := p.store.ListDaemons(ctx); err != nil || len(list) != 1 {
		t.Errorf("%d daemons, %v; want 1", len(list), err)
	}
	made, err := b.Register(ctx, api.RegisterRequest{IdentityPublicKey: b.key})
	must(t, err)
	if api.CheckDaemonName(made.Name) != nil {
		t.Errorf("the made-up name %q is none", made.Name)
	}
	// The name changes, the id stays; one's own name in another case is no conflict.
	for _, name := range []string{"desk", "Desk", "other"} {
		r, err := b.Register(ctx, api.RegisterRequest{IdentityPublicKey: b.key, Name: name})
		must(t, err)
		if r.DaemonID != made.DaemonID || r.Name != name {
			t.Errorf("renamed to %+v", r)
		}
	}
	// Replace removes the one that had the name.
	r, err := b.Register(ctx, api.RegisterRequest{IdentityPublicKey: b.key, Name: "laptop", Replace: true})
	must(t, err)
	if r.DaemonID != made.DaemonID {
		t.Errorf("replaced as %+v", r)
	}
	_, err = a.Presence(ctx, aID)
	wantCode(t, err, 404, "daemon_not_found")
	back, err := a.Register(ctx, api.RegisterRequest{IdentityPublicKey: a.key})
	must(t, err)
	if back.DaemonID == aID {
		t.Error("a removed daemon came back under its old id")
	}
}

// An API key alone cannot take over what has been proved.
func TestUnprovenRegistration(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemon("laptop")
	key := p.key(api.ScopeDaemon)
	a := p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q}`, key, d.key))
	if a.status != 403 || a.code(t) != "forbidden" {
		t.Errorf("unproven over proven: %d %s", a.status, a.body)
	}
	other := newDevice(t, p)
	a = p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q,"name":"laptop","replace":true}`, key, other.key))
	if a.status != 409 {
		t.Errorf("unproven replace: %d %s", a.status, a.body)
	}
	// In another account the key is free: nobody can squat on somebody's identity.
	a = p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q}`, p.keyOf("b", api.ScopeDaemon), d.key))
	if a.status != 200 {
		t.Errorf("other account: %d %s", a.status, a.body)
	}
	_, err := d.Presence(ctx, id)
	must(t, err)
	// The daemon of the API key becomes a proven one.
	a = p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q}`, key, other.key))
	if a.status != 200 {
		t.Fatal(a.body)
	}
	_, err = other.Register(ctx, api.RegisterRequest{APIKey: key, IdentityPublicKey: other.key, Name: "bare"})
	must(t, err)
	a = p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q}`, key, other.key))
	if a.status != 403 {
		t.Errorf("unproven after proof: %d %s", a.status, a.body)
	}
	// A device registers its own key only, and nothing without any proof or key.
	_, err = d.Register(ctx, api.RegisterRequest{IdentityPublicKey: other.key})
	wantCode(t, err, 403, "forbidden")
	_, err = d.Register(ctx, api.RegisterRequest{APIKey: key, IdentityPublicKey: other.key})
	wantCode(t, err, 403, "forbidden")
	a = p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"identityPublicKey":%q}`, newDevice(t, p).key))
	if a.status != 401 {
		t.Errorf("nothing given: %d %s", a.status, a.body)
	}
	a = p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":"cvk_x_y","identityPublicKey":%q}`, newDevice(t, p).key))
	if a.status != 401 {
		t.Errorf("wrong key: %d %s", a.status, a.body)
	}
}

func TestPresenceIsTheDaemonsOwn(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	_, id := p.daemon("one")
	other, otherID := p.daemon("two")
	client := p.enrolled(api.ScopeAdmin)
	for _, d := range []*device{other, client} {
		_, err1 := d.Presence(ctx, id)
		_, err2 := d.Presence(ctx, "dmn_never")
		wantCode(t, err1, 404, "daemon_not_found")
		if err1.Error() != err2.Error() {
			t.Errorf("%v is not %v", err1, err2)
		}
	}
	_, err := other.Presence(ctx, otherID)
	must(t, err)
}

func TestRemove(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemon("laptop")
	away := p.enrolled(api.ScopeClient)
	must(t, createPairing(p, d, id, 1, 0))
	guest := newDevice(t, p)
	_, err := guest.RedeemPairing(ctx, api.Lookup{1})
	must(t, err)

	devices, err := p.store.ListDevices(ctx)
	must(t, err)
	byKey := map[string]string{}
	for _, dev := range devices {
		byKey[dev.PublicKey.String()] = dev.ID
		if wantGuest := dev.PublicKey.Equal(guest.key); dev.Guest != wantGuest || dev.Guest == (dev.Account == "default") || dev.Guest == (dev.KeyID != "") {
			t.Errorf("device %+v", dev)
		}
	}
	if len(devices) != 3 {
		t.Errorf("%d devices, want 3", len(devices))
	}
	// A removed guest is a stranger again.
	must(t, p.store.RemoveDevice(ctx, byKey[guest.key.String()]))
	_, err = guest.CreateSession(ctx, id)
	wantCode(t, err, 401, "unauthorized")
	// So is a removed daemon's machine; its daemon has gone too.
	must(t, createPairing(p, d, id, 2, 0))
	must(t, p.store.RemoveDevice(ctx, byKey[d.key.String()]))
	_, err = d.Presence(ctx, id)
	wantCode(t, err, 401, "unauthorized")
	_, err = away.CreateSession(ctx, id)
	wantCode(t, err, 404, "daemon_not_found")
	_, err = newDevice(t, p).RedeemPairing(ctx, api.Lookup{2})
	wantCode(t, err, 404, "pairing_not_found")
	for _, table := range []string{"grants", "pairings", "daemons"} {
		if n, err := p.store.Count(ctx, table); err != nil || n != 0 {
			t.Errorf("%d rows left in %s, %v", n, table, err)
		}
	}
	// A daemon can be removed alone; the device registers it anew.
	e, eID := p.daemon("desk")
	must(t, p.store.RemoveDaemon(ctx, eID))
	_, err = e.Presence(ctx, eID)
	wantCode(t, err, 404, "daemon_not_found")
	_, err = e.Register(ctx, api.RegisterRequest{IdentityPublicKey: e.key, Name: "desk"})
	must(t, err)
}
