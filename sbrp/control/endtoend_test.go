package control_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/control"
	"culvert/sbrp/token"
)

// The main path: enrol, register, list, session, renewal, with a relay that reads
// the keys over HTTP.
func endToEnd(t *testing.T) {
	p := newPlane(t, func(c *control.Config) { c.Region = "eu" })
	ctx := t.Context()
	home := newDevice(t, p)
	e, err := home.Enroll(ctx, api.EnrollRequest{APIKey: p.key(api.ScopeDaemon) + "\n", Name: "Zoë’s box"})
	must(t, err)
	if e.DeviceID == "" || e.Account != "default" || !slices.Equal(e.Scopes, []string{"daemon"}) {
		t.Errorf("enrolled as %+v", e)
	}
	reg, err := home.Register(ctx, api.RegisterRequest{IdentityPublicKey: home.key, Name: "laptop"})
	must(t, err)
	if sbrp.CheckDaemonID(reg.DaemonID) != nil || reg.RelayURL != relayURL || reg.Name != "laptop" || !reg.PresenceExpires.Equal(p.now().Add(time.Hour)) {
		t.Errorf("registered as %+v", reg)
	}
	again, err := home.Register(ctx, api.RegisterRequest{IdentityPublicKey: home.key})
	must(t, err)
	if again.DaemonID != reg.DaemonID || again.Name != "laptop" {
		t.Errorf("registered again as %+v, want id and name to stay", again)
	}
	pres, err := home.Presence(ctx, reg.DaemonID)
	must(t, err)

	away := p.enrolled(api.ScopeClient)
	list, err := away.Daemons(ctx)
	must(t, err)
	want := api.Daemon{ID: reg.DaemonID, Name: "laptop", IdentityPublicKey: home.key, Status: api.StatusOffline}
	if len(list) != 1 || list[0] != want {
		t.Errorf("daemons %+v, want %+v", list, want)
	}
	p.online[reg.DaemonID] = true
	if list, err = away.Daemons(ctx); err != nil || list[0].Status != api.StatusOnline {
		t.Errorf("daemons %+v, %v", list, err)
	}
	sess, err := away.CreateSession(ctx, reg.DaemonID)
	must(t, err)
	if sess.RelayURL != relayURL || sess.DaemonID != reg.DaemonID || sess.Name != "laptop" || !sess.IdentityPublicKey.Equal(home.key) {
		t.Errorf("session %+v", sess)
	}

	remote, err := token.NewRemoteKeys(token.RemoteConfig{URL: token.JWKSURL(p.server.Issuer()), HTTP: p.http, Now: p.now})
	must(t, err)
	for _, keys := range []token.KeySource{remote, p.server.Keys()} {
		v, err := token.NewVerifier(token.VerifierConfig{Issuer: p.server.Issuer(), Region: "eu", Keys: keys, Now: p.now})
		must(t, err)
		c, err := v.Verify(ctx, sess.Token)
		must(t, err)
		id, err := api.SessionIDOf(sess.Token)
		must(t, err)
		if c.Role != sbrp.RoleClient || c.DaemonID != reg.DaemonID || c.SessionID != id || c.Expires.Sub(c.IssuedAt) != 120*time.Second || c.ID == "" || c.Subject == "" {
			t.Errorf("client token %+v", c)
		}
		for _, raw := range []string{reg.PresenceToken, again.PresenceToken, pres.PresenceToken} {
			c, err := v.Verify(ctx, raw)
			must(t, err)
			if c.Role != sbrp.RoleDaemon || c.DaemonID != reg.DaemonID || c.SessionID != 0 || !c.HasScope(token.ScopeSessionResume) || c.Expires.Sub(c.IssuedAt) != time.Hour {
				t.Errorf("presence token %+v", c)
			}
		}
	}
	other, err := away.CreateSession(ctx, reg.DaemonID)
	must(t, err)
	a, _ := api.SessionIDOf(sess.Token)
	b, _ := api.SessionIDOf(other.Token)
	if a == b {
		t.Error("two sessions have one id")
	}
	for _, secret := range []string{sess.Token, reg.PresenceToken, p.admin} {
		if strings.Contains(p.log.String(), secret[len(secret)-20:]) {
			t.Error("the log holds a secret")
		}
	}
}

// The spec's shapes, field by field, as the published library's side sends and
// reads them: an API key in the body, no signature.
func specShapes(t *testing.T) {
	p := newPlane(t)
	d := newDevice(t, p)
	body := fmt.Sprintf(`{"apiKey":%q,"identityPublicKey":%q,"futureField":{"a":[1]}}`, p.key(api.ScopeDaemon), d.key)
	var reg map[string]any
	a := p.send("POST", "/api/daemons/register", "", body)
	must(t, json.Unmarshal([]byte(a.body), &reg))
	id, _ := reg["daemonId"].(string)
	raw, _ := reg["presenceToken"].(string)
	if a.status != 200 || id == "" || p.verify(raw).DaemonID != id || reg["relayUrl"] != relayURL {
		t.Fatalf("register: %d %s", a.status, a.body)
	}
	a = p.send("POST", "/api/daemons/register", "", body)
	must(t, json.Unmarshal([]byte(a.body), &reg))
	if reg["daemonId"] != id {
		t.Errorf("registered again as %v, want %s", reg["daemonId"], id)
	}
	// Its own device key renews, though no device was ever enrolled.
	if _, err := d.Presence(t.Context(), id); err != nil {
		t.Errorf("renewal: %v", err)
	}

	c := p.enrolled(api.ScopeClient)
	a = p.send("GET", "/api/daemons", p.sign(c), "")
	var list []map[string]any
	must(t, json.Unmarshal([]byte(a.body), &list))
	if len(list) != 1 || list[0]["id"] != id || list[0]["identityPublicKey"] != d.key.String() || list[0]["status"] != "offline" {
		t.Errorf("list: %s", a.body)
	}
	a = p.send("POST", "/api/sessions", p.sign(c), fmt.Sprintf(`{"daemonId":%q}`, id))
	var sess map[string]any
	must(t, json.Unmarshal([]byte(a.body), &sess))
	if raw, _ := sess["token"].(string); p.verify(raw).DaemonID != id || sess["relayUrl"] != relayURL {
		t.Errorf("session: %s", a.body)
	}
	if a := p.send("GET", "/api/daemons", p.sign(p.enrolledIn("empty", api.ScopeClient)), ""); a.body != "[]" {
		t.Errorf("empty list: %s", a.body)
	}
}

func TestHTTP(t *testing.T) {
	p := newPlane(t)
	d, id := p.daemon("laptop")
	sign := func() string { return p.sign(d) }
	big := `{"name":"` + strings.Repeat("x", api.MaxBody) + `"}`
	tests := []struct {
		name, method, path, bearer, body string
		status                           int
		code                             string
	}{
		{"unknown path", "GET", "/api/nothing", "", "", 404, "not_found"},
		{"root", "GET", "/", "", "", 404, "not_found"},
		{"unclean path", "GET", "/api//daemons", "", "", 404, "not_found"},
		{"dots", "GET", "/api/x/../daemons", "", "", 404, "not_found"},
		{"slash at the end", "GET", "/api/daemons/", "", "", 404, "not_found"},
		{"below an id", "DELETE", "/api/keys/a/b", "", "", 404, "not_found"},
		{"wrong method", "GET", "/api/sessions", "", "", 405, "method_not_allowed"},
		{"wrong method on jwks", "POST", "/.well-known/jwks.json", "", "", 405, "method_not_allowed"},
		{"options", "OPTIONS", "/api/daemons", "", "", 405, "method_not_allowed"},
		{"redeem by GET", "GET", "/api/pairings/redeem", "", "", 405, "method_not_allowed"},
		{"too large", "POST", "/api/devices", "", big, 413, "too_large"},
		{"no body", "POST", "/api/devices", "", "", 400, "invalid_request"},
		{"no JSON", "POST", "/api/devices", "", "<xml>", 400, "invalid_request"},
		{"array", "POST", "/api/devices", "", "[]", 400, "invalid_request"},
		{"null", "POST", "/api/devices", "", "null", 400, "invalid_request"},
		{"two objects", "POST", "/api/devices", "", "{}{}", 400, "invalid_request"},
		{"cut", "POST", "/api/devices", "", `{"name":`, 400, "invalid_request"},
		{"wrong type", "POST", "/api/devices", "", `{"name":1}`, 400, "invalid_request"},
		{"control characters in a name", "POST", "/api/devices", "", `{"name":"a\u001b[2J"}`, 400, "invalid_request"},
		{"bad key", "POST", "/api/daemons/register", "", `{"identityPublicKey":"AAAA"}`, 400, "invalid_request"},
		{"no key", "POST", "/api/daemons/register", "", `{}`, 400, "invalid_request"},
		{"bad daemon name", "POST", "/api/daemons/register", sign(), fmt.Sprintf(`{"identityPublicKey":%q,"name":"a b"}`, d.key), 400, "invalid_request"},
		{"long daemon name", "POST", "/api/daemons/register", sign(), fmt.Sprintf(`{"identityPublicKey":%q,"name":%q}`, d.key, strings.Repeat("a", 65)), 400, "invalid_request"},
		{"session without id", "POST", "/api/sessions", sign(), `{}`, 404, "daemon_not_found"},
		{"lookup missing", "POST", "/api/pairings", sign(), fmt.Sprintf(`{"daemonId":%q}`, id), 400, "invalid_request"},
		{"lookup short", "POST", "/api/pairings", sign(), fmt.Sprintf(`{"daemonId":%q,"lookup":"AAAA"}`, id), 400, "invalid_request"},
		{"ttl too long", "POST", "/api/pairings", sign(), fmt.Sprintf(`{"daemonId":%q,"lookup":"AQIDBAUGBwgJCgsMDQ4PEA","ttlSeconds":301}`, id), 400, "invalid_request"},
		{"ttl negative", "POST", "/api/pairings", sign(), fmt.Sprintf(`{"daemonId":%q,"lookup":"AQIDBAUGBwgJCgsMDQ4PEA","ttlSeconds":-1}`, id), 400, "invalid_request"},
		{"cancel of no lookup", "DELETE", "/api/pairings/xyz", sign(), "", 400, "invalid_request"},
		{"redeem of a wrong lookup", "POST", "/api/pairings/redeem", sign(), `{"lookup":"AQIDBAUGBwgJCgsMDQ4PEA"}`, 404, "pairing_not_found"},
		{"revoke of no key", "DELETE", "/api/keys/nothing", p.admin, "", 404, "not_found"},
		{"key without scope", "POST", "/api/keys", p.admin, `{"name":"x"}`, 400, "invalid_request"},
		{"key with a made-up scope", "POST", "/api/keys", p.admin, `{"scopes":["root"]}`, 400, "invalid_request"},
		{"key of the past", "POST", "/api/keys", p.admin, `{"scopes":["client"],"expires":"2020-01-01T00:00:00Z"}`, 400, "invalid_request"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			a := p.send(tc.method, tc.path, tc.bearer, tc.body)
			if a.status != tc.status || a.code(t) != tc.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, tc.status, tc.code)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			if got := a.header.Get("Date"); got != p.now().Format(http.TimeFormat) {
				t.Errorf("Date %q", got)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if tc.status == 405 && a.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
}

func TestHealth(t *testing.T) {
	p := newPlane(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := p.send("GET", path, "", ""); a.status != 200 || a.body != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := p.send("HEAD", path, "", ""); a.status != 200 || a.body != "" {
			t.Errorf("HEAD %s: %d %s", path, a.status, a.body)
		}
	}
	a := p.send("GET", "/.well-known/jwks.json", "", "")
	keys, err := token.ParseJWKS([]byte(a.body))
	if err != nil || len(keys) != 2 || a.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("jwks: %s, %v", a.body, err)
	}
	d := p.enrolled(api.ScopeClient)
	must(t, p.store.Close())
	if a := p.send("GET", "/readyz", "", ""); a.status != 503 || a.code(t) != "unavailable" {
		t.Errorf("without store: %d %s", a.status, a.body)
	}
	if a := p.send("GET", "/healthz", "", ""); a.status != 200 {
		t.Errorf("healthz without store: %d", a.status)
	}
	// An internal failure tells nothing of itself.
	_, err = d.Daemons(t.Context())
	wantCode(t, err, 500, "internal_error")
	if strings.Contains(err.Error(), "sql") || !strings.Contains(p.log.String(), "sql") {
		t.Errorf("the answer %v, the log %s", err, p.log)
	}
	// Tokens go on being verified with what is in memory.
	p.forward(2 * control.KeyringAge)
	if _, err := p.server.Keys().Key(t.Context(), keys[0].ID); err != nil {
		t.Errorf("key without store: %v", err)
	}
}

func TestKeysEndpoint(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	anyone, err := api.NewClient(api.Config{BaseURL: p.url, HTTP: p.http})
	must(t, err)
	exp := p.now().Add(time.Hour)
	k, secret, err := anyone.CreateKey(ctx, p.admin, api.KeySpec{Name: "ci", Account: "team", Scopes: []string{"client", "daemon", "client"}, Expires: exp})
	must(t, err)
	if k.Name != "ci" || k.Account != "team" || !slices.Equal(k.Scopes, []string{"client", "daemon"}) || !k.Expires.Equal(exp) || !k.Created.Equal(p.now()) {
		t.Errorf("key %+v", k)
	}
	if !strings.HasPrefix(secret, "cvk_"+k.ID+"_") || len(secret) != len("cvk_")+len(k.ID)+1+32 {
		t.Errorf("the secret has another form: %d bytes", len(secret))
	}
	list, err := anyone.Keys(ctx, p.admin)
	must(t, err)
	if len(list) != 2 {
		t.Errorf("%d keys, want 2", len(list))
	}
	d := newDevice(t, p)
	e, err := d.Enroll(ctx, api.EnrollRequest{APIKey: secret})
	must(t, err)
	if e.Account != "team" {
		t.Errorf("enrolled in %q", e.Account)
	}
	// No other key may manage keys.
	_, err = anyone.Keys(ctx, secret)
	wantCode(t, err, 403, "forbidden")
	_, _, err = anyone.CreateKey(ctx, secret, api.KeySpec{Scopes: []string{"admin"}})
	wantCode(t, err, 403, "forbidden")
	_, err = anyone.RevokeKey(ctx, secret, k.ID)
	wantCode(t, err, 403, "forbidden")
	_, err = anyone.Keys(ctx, "cvk_nothing_nothing")
	wantCode(t, err, 401, "unauthorized")

	got, err := anyone.RevokeKey(ctx, p.admin, k.ID)
	must(t, err)
	if !got.Revoked.Equal(p.now()) {
		t.Errorf("revoked %+v", got)
	}
	p.forward(time.Minute)
	if again, err := anyone.RevokeKey(ctx, p.admin, k.ID); err != nil || !again.Revoked.Equal(got.Revoked) {
		t.Errorf("revoked again %+v, %v: the first time counts", again, err)
	}
	_, err = anyone.Keys(ctx, secret)
	wantCode(t, err, 401, "unauthorized")
}
