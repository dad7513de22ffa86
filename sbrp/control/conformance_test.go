package control_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/sbrptest"
)

// TestConformance proves section 8, and what section 7 asks of an issuer, at a control plane behind a real listener.
func TestConformance(t *testing.T) {
	s := sbrptest.NewSuite("control")
	s.Case("7.28", "issuer", "two rotations", rotate)
	s.Case("7.29", "issuer", "lives of its tokens", endToEnd)
	s.Case("8.1", "daemon", "an API key in the body, as the library sends it", specShapes)
	s.Case("8.1", "daemon", "with a device key", endToEnd)
	s.Case("8.2", "client", "fields of the list", specShapes)
	s.Case("8.3", "client", "fields of a session", specShapes)
	s.Case("8.4", "issuer", "registrations and sessions make none", noCodeUnasked)
	s.Case("8.5", "daemon", "lookups of 15, 16 and 17 bytes", lookupSize)
	s.Case("8.6", "daemon", "lives of a code", codeLife)
	s.Case("8.7", "client", "eight at once", pairingRace)
	s.Case("8.7", "client", "used, expired and wrong", pairing)
	s.Case("8.8", "daemon", "eleven in a minute", pairingRates)
	s.Case("8.9", "client", "redeems a code", pairing)
	s.Run(t)
}

func noCodeUnasked(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	_, err := d.Presence(p.ctx(), id)
	must(t, err)
	_, err = p.enrolled(api.ScopeClient).CreateSession(p.ctx(), id)
	must(t, err)
	if n, err := p.store.Count(p.ctx(), "pairings"); err != nil || n != 0 {
		t.Errorf("%d codes, %v; want none", n, err)
	}
}

// lookupSize: the code's public half alone has 128 bits.
func lookupSize(t *testing.T) {
	if bits := 8 * len(api.Lookup{}); bits < 128 {
		t.Errorf("a lookup has %d bits", bits)
	}
	p := newPlane(t)
	d, id := p.daemon("laptop")
	for size, status := range map[int]int{8: 400, 15: 400, 16: 200, 17: 400} {
		a := p.send("POST", "/api/pairings", p.sign(d), fmt.Sprintf(`{"daemonId":%q,"lookup":%q}`, id, strings.Repeat("ab", size)))
		if a.status != status {
			t.Errorf("%d bytes: %d %s, want %d", size, a.status, a.body, status)
		}
	}
}

func codeLife(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	a := p.send("POST", "/api/pairings", p.sign(d), fmt.Sprintf(`{"daemonId":%q,"lookup":"AQIDBAUGBwgJCgsMDQ4PEA","ttlSeconds":301}`, id))
	if a.status != 400 {
		t.Errorf("301 s: %d %s", a.status, a.body)
	}
	r, err := d.CreatePairing(p.ctx(), api.PairingRequest{DaemonID: id, Lookup: api.Lookup{1}})
	must(t, err)
	if life := r.ExpiresAt.Sub(p.now()); life > 5*time.Minute || life <= 0 {
		t.Errorf("a code that asks for nothing lives for %v", life)
	}
	p.forward(5 * time.Minute)
	_, err = newDevice(t, p).RedeemPairing(p.ctx(), api.Lookup{1})
	wantCode(t, err, 404, "pairing_not_found")
}
