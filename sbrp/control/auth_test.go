package control_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// forge makes a device token that is right but for what change does to it.
func (p *plane) forge(d *device, change func(header map[string]any, c jwt.MapClaims)) string {
	p.t.Helper()
	pub := d.key.String()
	c := jwt.MapClaims{"iss": pub, "sub": pub, "aud": p.url, "iat": p.now().Unix(), "exp": p.now().Unix() + 30, "jti": fmt.Sprint(time.Now().UnixNano())}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	t.Header["typ"] = api.DeviceTokenType
	change(t.Header, c)
	raw, err := t.SignedString(d.priv)
	must(p.t, err)
	return raw
}

func TestDeviceToken(t *testing.T) {
	type obj = map[string]any
	p := newPlane(t)
	d := p.enrolled(api.ScopeClient)
	other := newDevice(t, p)
	port := p.url[strings.LastIndex(p.url, ":"):]
	at := func(n int64) int64 { return p.now().Unix() + n }
	times := func(iat, exp any) func(obj, jwt.MapClaims) {
		return func(_ obj, c jwt.MapClaims) { c["iat"], c["exp"] = iat, exp }
	}
	claim := func(name string, v any) func(obj, jwt.MapClaims) {
		return func(_ obj, c jwt.MapClaims) { c[name] = v }
	}
	const good, bad, skew = "", "unauthorized", "clock_skew"
	tests := []struct {
		name   string
		want   string
		change func(h obj, c jwt.MapClaims)
	}{
		{"plain", good, func(obj, jwt.MapClaims) {}},
		{"relay token's typ", bad, func(h obj, _ jwt.MapClaims) { h["typ"] = "sbrp-relay+jwt" }},
		{"no typ", bad, func(h obj, _ jwt.MapClaims) { delete(h, "typ") }},
		{"alg none", bad, func(h obj, _ jwt.MapClaims) { h["alg"] = "none" }},
		{"alg HS256", bad, func(h obj, _ jwt.MapClaims) { h["alg"] = "HS256" }},
		{"another's iss", bad, func(_ obj, c jwt.MapClaims) { c["iss"], c["sub"] = other.key.String(), other.key.String() }},
		{"another's sub", bad, claim("sub", other.key.String())},
		{"no sub", bad, claim("sub", nil)},
		{"iss with padding", bad, func(_ obj, c jwt.MapClaims) { c["iss"] = d.key.String() + "="; c["sub"] = c["iss"] }},
		{"iss no string", bad, claim("iss", 1)},
		{"another control plane", bad, claim("aud", "https://evil.example")},
		{"aud array", bad, claim("aud", []string{p.url})},
		{"no aud", bad, claim("aud", nil)},
		{"aud with a path", bad, claim("aud", p.url+"/")},
		{"aud by name", good, claim("aud", "http://localhost"+port)},
		{"aud by loopback name", good, claim("aud", "http://relay.localhost"+port)},
		{"aud by another loopback address", bad, claim("aud", "http://127.0.0.2"+port)},
		{"aud at another port", bad, claim("aud", "http://127.0.0.1:1")},
		{"aud at the scheme's port", bad, claim("aud", "http://127.0.0.1")},
		{"aud with TLS", bad, claim("aud", "https://127.0.0.1"+port)},
		{"no jti", bad, claim("jti", nil)},
		{"jti empty", bad, claim("jti", "")},
		{"jti of 64", good, claim("jti", strings.Repeat("j", 64))},
		{"jti of 65", bad, claim("jti", strings.Repeat("j", 65))},
		{"lives 60 s", good, times(at(0), at(60))},
		{"lives 61 s", bad, times(at(0), at(61))},
		{"lives not", bad, times(at(0), at(0))},
		{"lives backwards", bad, times(at(10), at(0))},
		{"no iat", bad, times(nil, at(10))},
		{"no exp", bad, times(at(0), nil)},
		{"text for iat", bad, times("0", at(10))},
		{"huge exp", bad, times(at(0), 1e300)},
		{"clock 60 s fast", good, times(at(60), at(90))},
		{"clock 61 s fast", skew, times(at(61), at(91))},
		{"clock 89 s slow", good, times(at(-89), at(-59))},
		{"clock 90 s slow", skew, times(at(-90), at(-60))},
		{"clock of 1970", skew, times(1, 31)},
	}
	for i, tc := range tests {
		p.comeFrom(fmt.Sprintf("10.0.%d.1", i)) // each with its own bucket
		a := p.send("GET", "/api/daemons", p.forge(d, tc.change), "")
		if tc.want == good {
			if a.status != 200 {
				t.Errorf("%s: %d %s", tc.name, a.status, a.body)
			}
			continue
		}
		if a.status != 401 || a.code(t) != tc.want || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s, want 401 %s", tc.name, a.status, a.body, tc.want)
		}
		if tc.want == skew && !strings.Contains(a.body, p.now().Format(time.RFC3339)) {
			t.Errorf("%s: the server's time is not said: %s", tc.name, a.body)
		}
	}
	// What is no token at all.
	good3 := strings.Split(p.sign(d), ".")
	for i, raw := range []string{"x", "a.b.c", "..", strings.Repeat("a", 5000), good3[0] + "." + good3[1], good3[0] + "." + good3[1] + ".", p.admin} {
		p.comeFrom(fmt.Sprintf("10.1.%d.1", i))
		if a := p.send("GET", "/api/daemons", raw, ""); a.status != 401 || a.code(t) != bad || strings.Contains(a.body, raw) {
			t.Errorf("%.20q: %d %s", raw, a.status, a.body)
		}
	}
	p.comeFrom("10.2.0.1")
	for _, h := range [][]string{{}, {"Bearer"}, {"Basic eHg6eQ=="}, {"Bearer " + p.sign(d), "Bearer " + p.sign(d)}} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/api/daemons", nil)
		must(t, err)
		req.Header["Authorization"] = h
		if a := p.do(req); a.status != 401 {
			t.Errorf("Authorization %d times: %d", len(h), a.status)
		}
	}
}

// A hostile control plane that was given a token sends it on, with the Host header
// that goes with its audience.
func TestDeviceTokenSentOn(t *testing.T) {
	p := newPlane(t)
	d := p.enrolled(api.ScopeClient)
	for _, host := range []string{"evil.example", "10.9.9.9:8443"} {
		raw := p.forge(d, func(_ map[string]any, c jwt.MapClaims) { c["aud"] = "http://" + host })
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/api/daemons", nil)
		must(t, err)
		req.Host = host
		req.Header.Set("Authorization", "Bearer "+raw)
		if a := p.do(req); a.status != 401 {
			t.Errorf("token for %s with its Host header: %d", host, a.status)
		}
	}
}

func TestDeviceTokenOnce(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	raw := p.sign(d)
	if a := p.send("GET", "/api/daemons", raw, ""); a.status != 200 {
		t.Fatalf("first: %d %s", a.status, a.body)
	}
	for path, body := range map[string]string{
		"/api/devices":          fmt.Sprintf(`{"apiKey":%q}`, p.key("client")),
		"/api/daemons/register": fmt.Sprintf(`{"identityPublicKey":%q}`, d.key),
		"/api/daemons/presence": fmt.Sprintf(`{"daemonId":%q}`, id),
		"/api/sessions":         fmt.Sprintf(`{"daemonId":%q}`, id),
		"/api/pairings":         fmt.Sprintf(`{"daemonId":%q,"lookup":"AQIDBAUGBwgJCgsMDQ4PEA"}`, id),
		"/api/pairings/redeem":  `{"lookup":"AQIDBAUGBwgJCgsMDQ4PEA"}`,
	} {
		if a := p.send("POST", path, raw, body); a.status != 401 || !strings.Contains(a.body, "used before") {
			t.Errorf("again at %s: %d %s", path, a.status, a.body)
		}
	}
	if a := p.send("DELETE", "/api/pairings/AQIDBAUGBwgJCgsMDQ4PEA", raw, ""); a.status != 401 {
		t.Errorf("again at a cancel: %d %s", a.status, a.body)
	}
	// The note is kept until age alone refuses the token, and not longer.
	p.forward(89 * time.Second)
	p.server.Tidy(t.Context())
	p.comeFrom("192.0.2.9")
	if a := p.send("GET", "/api/daemons", raw, ""); a.status != 401 || a.code(t) != "unauthorized" {
		t.Errorf("at its last second: %d %s", a.status, a.body)
	}
	p.forward(time.Second)
	p.server.Tidy(t.Context())
	if a := p.send("GET", "/api/daemons", raw, ""); a.code(t) != "clock_skew" {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
	if n, err := p.store.Count(t.Context(), "used_tokens"); err != nil || n != 0 {
		t.Errorf("%d notes left, %v", n, err)
	}
}

// Strangers cannot make the store grow: a good signature by an unknown key writes
// nothing.
func TestStrangersWriteNothing(t *testing.T) {
	p := newPlane(t)
	_, id := p.daemon("laptop")
	before, err := p.store.Count(t.Context(), "used_tokens")
	must(t, err)
	s := newDevice(t, p)
	ctx := t.Context()
	_, err = s.Daemons(ctx)
	wantCode(t, err, 401, "unauthorized")
	_, err = s.CreateSession(ctx, id)
	wantCode(t, err, 401, "unauthorized")
	_, err = s.Presence(ctx, id)
	wantCode(t, err, 401, "unauthorized")
	_, err = s.Register(ctx, api.RegisterRequest{IdentityPublicKey: s.key})
	wantCode(t, err, 401, "unauthorized")
	_, err = s.CreatePairing(ctx, api.PairingRequest{DaemonID: id, Lookup: api.Lookup{1}})
	wantCode(t, err, 401, "unauthorized")
	wantCode(t, s.CancelPairing(ctx, api.Lookup{1}), 401, "unauthorized")
	_, err = s.Enroll(ctx, api.EnrollRequest{APIKey: "cvk_x_y"})
	wantCode(t, err, 401, "unauthorized")
	if after, err := p.store.Count(ctx, "used_tokens"); err != nil || after != before {
		t.Errorf("%d notes, before %d, %v", after, before, err)
	}
}

func TestAPIKeys(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	key, secret, err := p.store.CreateKey(ctx, control.KeySpec{Scopes: []string{"client"}, Expires: p.now().Add(time.Hour)})
	must(t, err)
	enroll := func(s string) error {
		_, err := newDevice(t, p).Enroll(ctx, api.EnrollRequest{APIKey: s})
		return err
	}
	must(t, enroll(secret))
	flipped := []byte(secret)
	flipped[len(flipped)-1] ^= 1
	for _, s := range []string{"", "x", "cvk_", "cvk_" + key.ID, "cvk_" + key.ID + "_", string(flipped), secret + "a", strings.ToUpper(secret), strings.Repeat("c", 1000)} {
		p.comeFrom(fmt.Sprintf("10.3.0.%d", len(s)%250+1))
		err := enroll(s)
		wantCode(t, err, 401, "unauthorized")
		if s != "" && len(s) > 4 && strings.Contains(err.Error(), s) {
			t.Errorf("the error holds the key: %v", err)
		}
	}
	p.forward(time.Hour - time.Second)
	must(t, enroll(secret))
	p.forward(time.Second)
	wantCode(t, enroll(secret), 401, "unauthorized")
}

// Expiry of an API key ends enrolment; revocation ends what it enrolled too.
func TestRevocation(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	key, secret, err := p.store.CreateKey(ctx, control.KeySpec{Scopes: []string{"daemon", "client"}, Expires: p.now().Add(time.Hour)})
	must(t, err)
	d := newDevice(t, p)
	_, err = d.Enroll(ctx, api.EnrollRequest{APIKey: secret})
	must(t, err)
	reg, err := d.Register(ctx, api.RegisterRequest{IdentityPublicKey: d.key, Name: "laptop"})
	must(t, err)
	bare := newDevice(t, p) // registered by the key alone
	a := p.send("POST", "/api/daemons/register", "", fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q,"name":"bare"}`, secret, bare.key))
	if a.status != 200 {
		t.Fatal(a.body)
	}
	friend := p.enrolled(api.ScopeClient)
	must(t, createPairing(p, d, reg.DaemonID, 1, 0))

	p.forward(2 * time.Hour) // the key has expired
	_, err = d.Presence(ctx, reg.DaemonID)
	must(t, err)
	_, err = d.CreateSession(ctx, reg.DaemonID)
	must(t, err)
	must(t, createPairing(p, d, reg.DaemonID, 2, 0))

	_, err = p.store.RevokeKey(ctx, key.ID)
	must(t, err)
	_, err = d.Presence(ctx, reg.DaemonID)
	wantCode(t, err, 401, "unauthorized")
	_, err = d.Daemons(ctx)
	wantCode(t, err, 401, "unauthorized")
	_, err = d.CreateSession(ctx, reg.DaemonID)
	wantCode(t, err, 401, "unauthorized")
	_, err = d.Register(ctx, api.RegisterRequest{IdentityPublicKey: d.key})
	wantCode(t, err, 401, "unauthorized")
	wantCode(t, createPairing(p, d, reg.DaemonID, 3, 0), 401, "unauthorized")
	wantCode(t, d.CancelPairing(ctx, api.Lookup{2}), 404, "pairing_not_found")
	_, err = friend.CreateSession(ctx, reg.DaemonID)
	wantCode(t, err, 404, "daemon_not_found")
	_, err = newDevice(t, p).RedeemPairing(ctx, api.Lookup{2})
	wantCode(t, err, 404, "pairing_not_found")
	if list, err := friend.Daemons(ctx); err != nil || len(list) != 0 {
		t.Errorf("the friend still sees %v, %v", list, err)
	}
	// A code of another daemon does not let the revoked device in by the back door.
	p.comeFrom("192.0.2.77")
	host, hostID := p.daemon("host")
	must(t, createPairing(p, host, hostID, 9, 0))
	_, err = d.RedeemPairing(ctx, api.Lookup{9})
	wantCode(t, err, 401, "unauthorized")

	// A new key revives all under the old identity.
	_, err = d.Enroll(ctx, api.EnrollRequest{APIKey: p.key(api.ScopeDaemon, api.ScopeClient)})
	must(t, err)
	again, err := d.Register(ctx, api.RegisterRequest{IdentityPublicKey: d.key})
	must(t, err)
	if again.DaemonID != reg.DaemonID || again.Name != "laptop" {
		t.Errorf("revived as %+v", again)
	}
	_, err = friend.CreateSession(ctx, reg.DaemonID)
	must(t, err)
}

func TestAccountsAndScopes(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	_, mine := p.daemonIn("a", "box")
	_, theirs := p.daemonIn("b", "box") // names are per account
	me := p.enrolledIn("a", api.ScopeClient)
	if list, err := me.Daemons(ctx); err != nil || len(list) != 1 || list[0].ID != mine {
		t.Errorf("list %v, %v", list, err)
	}
	_, err := me.CreateSession(ctx, mine)
	must(t, err)
	// Another account's and one that never was cannot be told apart.
	_, err1 := me.CreateSession(ctx, theirs)
	_, err2 := me.CreateSession(ctx, "dmn_never")
	wantCode(t, err1, 404, "daemon_not_found")
	if err1.Error() != err2.Error() {
		t.Errorf("%v is not %v", err1, err2)
	}
	// Scope client cannot register, scope daemon cannot connect.
	_, err = me.Register(ctx, api.RegisterRequest{IdentityPublicKey: me.key})
	wantCode(t, err, 403, "forbidden")
	_, err = me.Register(ctx, api.RegisterRequest{IdentityPublicKey: me.key, APIKey: p.keyOf("a", api.ScopeClient)})
	wantCode(t, err, 403, "forbidden")
	server := p.enrolledIn("a", api.ScopeDaemon)
	_, err = server.CreateSession(ctx, mine)
	wantCode(t, err, 403, "forbidden")
	_, err = server.CreateSession(ctx, theirs)
	wantCode(t, err, 404, "daemon_not_found")
	// An admin's device may both, in its account.
	root := p.enrolledIn("a", api.ScopeAdmin)
	_, err = root.Register(ctx, api.RegisterRequest{IdentityPublicKey: root.key})
	must(t, err)
	_, err = root.CreateSession(ctx, mine)
	must(t, err)
	_, err = root.CreateSession(ctx, theirs)
	wantCode(t, err, 404, "daemon_not_found")
	// A device that enrols elsewhere has moved.
	_, err = me.Enroll(ctx, api.EnrollRequest{APIKey: p.keyOf("b", api.ScopeClient)})
	must(t, err)
	_, err = me.CreateSession(ctx, mine)
	wantCode(t, err, 404, "daemon_not_found")
	_, err = me.CreateSession(ctx, theirs)
	must(t, err)
}

func FuzzDeviceToken(f *testing.F) {
	p := newFuzzPlane(f)
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := api.SignDeviceToken(priv, p.origin, p.now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add("..")
	f.Add("e30.e30.")
	f.Add(strings.Replace(raw, sbrp.PublicKey(pub).String()[:4], "AAAA", 1))
	f.Fuzz(func(t *testing.T, raw string) { p.parse(t, raw) })
}
