package control_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

func createPairing(p *plane, d *device, id string, n byte, ttl time.Duration) error {
	_, err := d.CreatePairing(p.ctx(), api.PairingRequest{DaemonID: id, Lookup: api.Lookup{n}, TTL: ttl})
	return err
}

func pairing(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemon("laptop")
	_, otherID := p.daemon("other")
	r, err := d.CreatePairing(ctx, api.PairingRequest{DaemonID: id, Lookup: api.Lookup{1}, TTL: time.Minute})
	must(t, err)
	if !r.ExpiresAt.Equal(p.now().Add(time.Minute)) {
		t.Errorf("expires at %s", r.ExpiresAt)
	}
	guest := newDevice(t, p)
	sess, err := guest.RedeemPairing(ctx, api.Lookup{1})
	must(t, err)
	if c := p.verify(sess.Token); c.DaemonID != id || sess.DaemonID != id || sess.Name != "laptop" || !sess.IdentityPublicKey.Equal(d.key) || sess.RelayURL != relayURL {
		t.Errorf("session %+v, claims %+v", sess, c)
	}
	// The guest may come back to that daemon, and to it alone.
	list, err := guest.Daemons(ctx)
	must(t, err)
	if len(list) != 1 || list[0].ID != id {
		t.Errorf("the guest sees %v", list)
	}
	_, err = guest.CreateSession(ctx, id)
	must(t, err)
	_, err = guest.CreateSession(ctx, otherID)
	wantCode(t, err, 404, "daemon_not_found")
	_, err = guest.Register(ctx, api.RegisterRequest{IdentityPublicKey: guest.key})
	wantCode(t, err, 403, "forbidden")
	_, err = guest.Presence(ctx, id)
	wantCode(t, err, 404, "daemon_not_found")
	wantCode(t, createPairing(p, guest, id, 7, 0), 404, "daemon_not_found")
	wantCode(t, guest.CancelPairing(ctx, api.Lookup{7}), 404, "pairing_not_found")

	// One use; wrong, used and expired look alike.
	must(t, createPairing(p, d, id, 2, time.Minute))
	p.forward(time.Minute)
	_, used := newDevice(t, p).RedeemPairing(ctx, api.Lookup{1})
	_, expired := newDevice(t, p).RedeemPairing(ctx, api.Lookup{2})
	_, wrong := newDevice(t, p).RedeemPairing(ctx, api.Lookup{3})
	wantCode(t, used, 404, "pairing_not_found")
	if used.Error() != expired.Error() || used.Error() != wrong.Error() {
		t.Errorf("told apart: %v, %v, %v", used, expired, wrong)
	}
	// Refused strangers are not remembered.
	if n, err := p.store.Count(ctx, "devices"); err != nil || n != 3 {
		t.Errorf("%d devices, %v; want 3", n, err)
	}

	// Taken back; only by the daemon itself.
	must(t, createPairing(p, d, id, 4, 0))
	other := p.enrolled(api.ScopeAdmin)
	wantCode(t, other.CancelPairing(ctx, api.Lookup{4}), 404, "pairing_not_found")
	must(t, d.CancelPairing(ctx, api.Lookup{4}))
	wantCode(t, d.CancelPairing(ctx, api.Lookup{4}), 404, "pairing_not_found")
	_, err = newDevice(t, p).RedeemPairing(ctx, api.Lookup{4})
	wantCode(t, err, 404, "pairing_not_found")

	// Only for oneself, and not twice at once.
	wantCode(t, createPairing(p, d, otherID, 5, 0), 404, "daemon_not_found")
	must(t, createPairing(p, d, id, 5, 0))
	wantCode(t, createPairing(p, d, id, 5, 0), 409, "pairing_exists")
	p.server.Tidy(ctx)
	if n, err := p.store.Count(ctx, "pairings"); err != nil || n != 1 {
		t.Errorf("%d codes after tidying, %v; want 1", n, err)
	}
}

// The lookup may come in hex; the store holds neither form.
func TestPairingForms(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	a := p.send("POST", "/api/pairings", p.sign(d), fmt.Sprintf(`{"daemonId":%q,"lookup":"0102030405060708090a0b0c0d0e0f10"}`, id))
	if a.status != 200 {
		t.Fatal(a.body)
	}
	if n, err := p.store.Count(t.Context(), `pairings WHERE hash = $1`, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}); err != nil || n != 0 {
		t.Errorf("the lookup is stored as it is (%v)", err)
	}
	a = p.send("POST", "/api/pairings/redeem", p.sign(newDevice(t, p)), `{"lookup":"AQIDBAUGBwgJCgsMDQ4PEA","name":"phone"}`)
	if a.status != 200 {
		t.Errorf("redeemed in the other form: %d %s", a.status, a.body)
	}
	devs, err := p.store.ListDevices(t.Context())
	must(t, err)
	if !slices.ContainsFunc(devs, func(d control.Device) bool { return d.Guest && d.Name == "phone" }) {
		t.Errorf("no guest of that name in %+v", devs)
	}
}

// A device of the account, or of another, redeems too.
func TestPairingEnrolled(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemonIn("a", "laptop")
	same, far, narrow := p.enrolledIn("a", api.ScopeClient), p.enrolledIn("b", api.ScopeClient), p.enrolledIn("a", api.ScopeDaemon)
	for i, dev := range []*device{same, far, narrow} {
		must(t, createPairing(p, d, id, byte(i+1), 0))
		_, err := dev.RedeemPairing(ctx, api.Lookup{byte(i + 1)})
		must(t, err)
		_, err = dev.CreateSession(ctx, id)
		must(t, err)
	}
	// What the account gave goes with the account.
	_, err := same.Enroll(ctx, api.EnrollRequest{APIKey: p.keyOf("b", api.ScopeClient)})
	must(t, err)
	_, err = same.CreateSession(ctx, id)
	wantCode(t, err, 404, "daemon_not_found")
	// What a guest was given stays when it enrols.
	guest := newDevice(t, p)
	must(t, createPairing(p, d, id, 9, 0))
	_, err = guest.RedeemPairing(ctx, api.Lookup{9})
	must(t, err)
	_, err = guest.Enroll(ctx, api.EnrollRequest{APIKey: p.keyOf("b", api.ScopeDaemon)})
	must(t, err)
	_, err = guest.CreateSession(ctx, id)
	must(t, err)
}

// Of many at once, one wins.
func pairingRace(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	must(t, createPairing(p, d, id, 1, 0))
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		dev := newDevice(t, p)
		wg.Go(func() {
			if _, err := dev.RedeemPairing(p.ctx(), api.Lookup{1}); err == nil {
				won.Add(1)
			} else {
				wantCode(t, err, 404, "pairing_not_found")
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have redeemed one code", won.Load())
	}
}

func pairingRates(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	d, id := p.daemon("laptop")
	e, eID := p.daemon("desk")
	for n := range byte(10) {
		must(t, createPairing(p, d, id, n+1, 0))
	}
	err := createPairing(p, d, id, 11, 0)
	wantCode(t, err, 429, "rate_limited")
	if !strings.Contains(err.Error(), "try again in 6s") {
		t.Errorf("%v does not say when", err)
	}
	must(t, createPairing(p, e, eID, 12, 0)) // each daemon for itself
	p.forward(6 * time.Second)
	must(t, createPairing(p, d, id, 11, 0))

	for range 10 {
		_, err := newDevice(t, p).RedeemPairing(ctx, api.Lookup{0xff})
		wantCode(t, err, 404, "pairing_not_found")
	}
	_, err = newDevice(t, p).RedeemPairing(ctx, api.Lookup{1}) // right, and yet
	wantCode(t, err, 429, "rate_limited")
	p.comeFrom("192.0.2.2")
	_, err = newDevice(t, p).RedeemPairing(ctx, api.Lookup{1})
	must(t, err)
	p.comeFrom("192.0.2.1")
	p.forward(6 * time.Second)
	_, err = newDevice(t, p).RedeemPairing(ctx, api.Lookup{2})
	must(t, err)
}
