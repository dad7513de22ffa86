package service

import (
	"testing"

	"culvert/config"
	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/sbrptest"
)

// TestConformance proves the rules of sections 3 and 9 about pins, with relay, daemon and client in one process.
func TestConformance(t *testing.T) {
	s := sbrptest.NewSuite("service")
	s.Case("3.12", "client", "first contact fails, then succeeds", pinAfterHandshake)
	s.Case("9.1", "client", "first contact fails, then succeeds", pinAfterHandshake)
	s.Case("9.2", "issuer", "advertises another key than the pinned one", pinOutweighsControlPlane)
	s.Case("9.3", "daemon", "has another key than the pinned one", identityChangedAtDaemon)
	s.Case("9.3", "client", "shows both fingerprints", identityChangedShowsBoth)
	s.Case("9.3", "client", "goes on when a person has accepted the key", goesOnWhenAccepted)
	s.Run(t)
}

// stranger is a client at a machine that has pinned nobody and trusts whom the control plane names.
func stranger(t *testing.T, w *world, machine string) *client {
	t.Helper()
	w.login(machine, "client")
	m, err := openMachine(t.Context(), w.common(machine))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	c, err := newClient(m, clientOptions{daemon: "daemon", sink: func(Event) {}, trust: func(string, sbrp.Fingerprint) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.resolve(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func pins(t *testing.T, c Common) []config.KnownDaemon {
	t.Helper()
	pins, problems, err := TrustList(c)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return pins
}

// pinAfterHandshake has the control plane name a key that the daemon does not have, then the right one.
func pinAfterHandshake(t *testing.T) {
	w, _ := pairedWorld(t)
	c := stranger(t, w, "stranger")
	right := c.known.Key
	c.known.Key = e2ee.GenerateIdentity().PublicKey()
	if s, err := c.dial(t.Context()); CodeOf(classify(err)) != CodeIdentity {
		if s != nil {
			_ = s.Close("")
		}
		t.Fatalf("a daemon with another key: %v", err)
	}
	if got := pins(t, w.common("stranger")); len(got) != 0 {
		t.Errorf("pinned %v before any handshake was verified", got)
	}
	c.known.Key = right
	s, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close("")
	if got := pins(t, w.common("stranger")); len(got) != 1 || got[0].Key != right || got[0].Trust != config.TrustControlPlane {
		t.Errorf("pinned %+v", got)
	}
}

// pinOutweighsControlPlane: the pin is another key than the control plane's, which the daemon really has: the pin counts.
func pinOutweighsControlPlane(t *testing.T) {
	w, _ := pairedWorld(t)
	other := repin(t, w)
	m, err := openMachine(t.Context(), w.common("client"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	c, err := newClient(m, clientOptions{daemon: "daemon", sink: func(Event) {}, trust: func(string, sbrp.Fingerprint) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.dial(t.Context()); CodeOf(classify(err)) != CodeIdentity {
		if s != nil {
			_ = s.Close("")
		}
		t.Errorf("got %v, want %v", err, CodeIdentity)
	}
	if got := pinned(t, w, "client", "daemon"); got.Key != other {
		t.Errorf("the pin has become %v", got)
	}
}

// repin gives the client's machine a pin of another key for the daemon.
func repin(t *testing.T, w *world) sbrp.PublicKey {
	t.Helper()
	dir, err := config.Open(w.common("client").StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	pin, err := dir.KnownDaemons().Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	pin.Key = e2ee.GenerateIdentity().PublicKey()
	if err := dir.KnownDaemons().Replace(pin); err != nil {
		t.Fatal(err)
	}
	return pin.Key
}

// goesOnWhenAccepted: only the fingerprint that a person gives changes the pin.
func goesOnWhenAccepted(t *testing.T) {
	w, _ := pairedWorld(t)
	right := pinned(t, w, "client", "daemon").Key
	wrong := repin(t, w)
	w.login("client", "client") // so that the machine may ask for the daemon's key
	if _, err := TrustAccept(t.Context(), w.common("client"), "daemon", wrong.Fingerprint()); CodeOf(err) != CodeIdentity {
		t.Errorf("another fingerprint was accepted: %v", err)
	}
	if _, err := TrustAccept(t.Context(), w.common("client"), "daemon", right.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	f := w.forward("client", "daemon", "0:echo")
	f.waitFor(EventReady)
}
