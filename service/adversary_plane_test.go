package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"culvert/mux"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
)

// lieAbout changes one field of the control plane's good answers at a path.
func (a *arena) lieAbout(path string, change func(fields map[string]any)) {
	a.cheat.Answer(func(p string, status int, body []byte) (int, []byte) {
		if p != path || status > 299 {
			return status, body
		}
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			a.t.Errorf("answer of %s: %v", p, err)
			return status, body
		}
		list, many := v.([]any)
		if !many {
			list = []any{v}
		}
		for _, e := range list {
			change(e.(map[string]any))
		}
		out, err := json.Marshal(v)
		if err != nil {
			a.t.Error(err)
		}
		return status, out
	})
}

// say has the control plane answer every request for a session so.
func (a *arena) say(status int, body string) {
	a.cheat.Answer(func(p string, s int, b []byte) (int, []byte) {
		if p != api.PathSessions {
			return s, b
		}
		return status, []byte(body)
	})
}

// decoy is a daemon of the adversary's, registered and online, that admits everybody, and answers a pairing proof as it likes. It
// returns what its control plane says of it to a client that asks for a session.
func (a *arena) decoy(answer func(h mux.Hello) []byte) api.SessionResponse {
	a.login("mallory", "daemon", "client")
	m, err := openMachine(a.t.Context(), a.common("mallory"))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(m.close)
	cl, tr, err := m.controlPlane(a.relay.URL, "")
	if err != nil {
		a.t.Fatal(err)
	}
	reg, err := cl.Register(a.t.Context(), api.RegisterRequest{IdentityPublicKey: m.identity.PublicKey(), Name: "mallory"})
	if err != nil {
		a.t.Fatal(err)
	}
	links, err := mux.NewServer(mux.ServerConfig{
		Admit: func(_ context.Context, h mux.Hello) (mux.Admission, error) {
			return mux.Admission{Name: "fool", PairingProof: answer(h)}, nil
		},
		Handle: func(ctx context.Context, _ *mux.Session) { <-ctx.Done() },
	})
	if err != nil {
		a.t.Fatal(err)
	}
	online := make(chan struct{}, 16)
	ctx, cancel := context.WithCancel(context.Background())
	d, err := endpoint.NewDaemon(endpoint.DaemonConfig{
		Identity: m.identity, Dial: tr.dial,
		Connect: func(context.Context) (endpoint.Presence, error) {
			return endpoint.Presence{URL: reg.RelayURL, Token: reg.PresenceToken, DaemonID: reg.DaemonID}, nil
		},
		Accept:  func(s *endpoint.Session) { _ = links.Serve(ctx, s) }, // the client sees how it ends
		OnState: func(s endpoint.DaemonState) { online <- struct{}{} },
	})
	if err != nil {
		a.t.Fatal(err)
	}
	ended := make(chan struct{}, 2)
	go func() { _ = d.Run(ctx); ended <- struct{}{} }()     // waited for below
	go func() { _ = links.Run(ctx); ended <- struct{}{} }() // waited for below
	a.t.Cleanup(func() { cancel(); <-ended; <-ended })
	receive(a.t, "decoy online", online)
	session, err := cl.CreateSession(a.t.Context(), reg.DaemonID)
	if err != nil {
		a.t.Fatal(err)
	}
	session.Name = "daemon"
	return session
}

// instead has the control plane give the decoy's session wherever it gives one.
func (a *arena) instead(s api.SessionResponse) {
	b, err := json.Marshal(s)
	if err != nil {
		a.t.Fatal(err)
	}
	a.cheat.Answer(func(path string, status int, body []byte) (int, []byte) {
		if status < 300 && (path == api.PathSessions || path == api.PathRedeem) {
			return status, b
		}
		return status, body
	})
}

// pairedBy has a new machine redeem a good code, and wants it to have pinned nobody if it fails.
func (a *arena) pairedBy(machine string, before func()) error {
	code, err := MakePairing(a.t.Context(), PairOptions{Common: a.common("daemon")})
	if err != nil {
		return err
	}
	before()
	_, err = RedeemPairing(a.t.Context(), RedeemOptions{Common: a.common(machine), Code: code.Code, URL: a.relay.URL})
	if err != nil {
		if got := pins(a.t, a.common(machine)); len(got) != 0 {
			a.t.Errorf("pinned %v all the same", got)
		}
	}
	return err
}

// planeThreats are a control plane's, whose relay helps it.
func planeThreats() []threat {
	const plane = "control plane"
	return []threat{
		{who: plane, does: "advertises another identity key for a pinned daemon", then: "the pin counts", act: func(a *arena) error {
			key := e2ee.GenerateIdentity().PublicKey().String()
			a.lieAbout(api.PathSessions, func(f map[string]any) { f["identityPublicKey"] = key })
			return a.attempt()
		}},
		{who: plane, does: "leads a pinned client to a daemon of its own, under the pinned key", code: CodeIdentity, name: "identity_key_changed", then: "not the pinned key; nothing is sent", act: func(a *arena) error {
			s := a.decoy(func(mux.Hello) []byte { return nil })
			s.IdentityPublicKey, s.DaemonID = pinned(a.t, a.world, "client", "daemon").Key, a.daemonID
			a.instead(s)
			return a.attempt()
		}},
		{who: plane, does: "says that the pinned daemon is gone, and that its name is another key's now", code: CodeIdentity, name: "identity_key_changed", then: "both fingerprints are shown", act: func(a *arena) error {
			key := e2ee.GenerateIdentity().PublicKey().String()
			a.cheat.Answer(func(path string, status int, body []byte) (int, []byte) {
				switch path {
				case api.PathSessions:
					return http.StatusNotFound, []byte(`{"code":"daemon_not_found","message":""}`)
				case api.PathDaemons:
					return http.StatusOK, fmt.Appendf(nil, `[{"id":"d2","name":"daemon","identityPublicKey":%q,"status":"online"}]`, key)
				}
				return status, body
			})
			a.login("client", "client") // a guest has no list to ask for
			return a.attempt()
		}},
		{who: plane, does: "says that the daemon is unknown", code: CodeDaemon, name: "daemon_not_found", then: "tried again, unless --once", act: func(a *arena) error {
			a.say(http.StatusNotFound, `{"code":"daemon_not_found","message":""}`)
			return a.attempt()
		}},
		{who: plane, does: "refuses the client", code: CodeLogin, name: "unauthorized", then: "nothing is sent elsewhere", act: func(a *arena) error {
			a.say(http.StatusUnauthorized, `{"code":"unauthorized","message":""}`)
			return a.attempt()
		}},
		{who: plane, does: "answers with a web page, with nothing, with JSON of another kind", code: CodeRelay, name: api.CodeUnexpectedResponse, then: "tried again, unless --once", act: func(a *arena) error {
			var errs []error
			for _, body := range []string{"<html>log in</html>", "", "[1,2]", `"token"`, `{"token":7}`, strings.Repeat("[", 1<<16)} {
				a.say(http.StatusOK, body)
				errs = append(errs, a.attempt())
			}
			return same(errs...)
		}},
		{who: plane, does: "names a relay elsewhere, without TLS", code: CodeRelay, name: "relay_url", then: "no token goes there", act: func(a *arena) error {
			a.lieAbout(api.PathSessions, func(f map[string]any) { f["relayUrl"] = "ws://192.0.2.1/relay" })
			return a.attempt()
		}},
		{who: plane, does: "issues a token with a signature that does not hold", code: CodeRelay, name: "unauthorized", then: "the relay checks it; tried again", act: func(a *arena) error {
			a.lieAbout(api.PathSessions, func(f map[string]any) {
				parts := strings.Split(f["token"].(string), ".")
				f["token"] = parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
			})
			return a.attempt()
		}},
		{who: plane, does: "leads a pairing client to a daemon of its own, which returns the client's own proof", code: CodeRefused, name: "pairing_failed", then: "the code's other half never was there; nothing is pinned", act: func(a *arena) error {
			s := a.decoy(func(h mux.Hello) []byte { return h.Pairing })
			return a.pairedBy("guest", func() { a.instead(s) })
		}},
		{who: plane, does: "leads a pairing client to a daemon of its own, which makes a proof up, or has none", code: CodeRefused, name: "pairing_failed", then: "as above", act: func(a *arena) error {
			var proof []byte
			s := a.decoy(func(h mux.Hello) []byte { return proof })
			first := a.pairedBy("guest", func() { a.instead(s) })
			a.cheat.Answer(nil)
			proof = bytes.Repeat([]byte{7}, 32)
			return same(first, a.pairedBy("guest", func() { a.instead(s) }))
		}},
		{who: plane, does: "advertises its own key to a pairing client, and the relay passes the true daemon on", code: CodeIdentity, name: "identity_key_changed", then: "the code is proved to nobody; nothing is pinned", act: func(a *arena) error {
			key := e2ee.GenerateIdentity().PublicKey().String()
			return a.pairedBy("guest", func() {
				a.lieAbout(api.PathRedeem, func(f map[string]any) { f["identityPublicKey"] = key })
			})
		}},
		{who: plane, does: "offers a daemon that the client has not pinned, in a script", code: CodeRefused, name: "not_trusted", then: "no first use without --trust-on-first-use", act: func(a *arena) error {
			a.login("stranger", "client")
			return a.call(DialerOptions{Common: a.common("stranger"), Once: true})
		}},
		{who: plane, does: "never answers", code: CodeRelay, name: "timeout", then: "tried again until --timeout", act: func(a *arena) error {
			stop := make(chan struct{})
			defer close(stop)
			a.cheat.Answer(func(_ string, status int, body []byte) (int, []byte) {
				<-stop
				return status, body
			})
			return a.call(DialerOptions{Timeout: 200 * time.Millisecond})
		}},
	}
}
