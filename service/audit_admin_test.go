package service

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/config"
	"culvert/mux"
)

// auditLines are the lines of a machine's audit log, which must be whole.
func (w *world) auditLines(machine string) []string {
	w.t.Helper()
	if r, err := VerifyAudit(w.common(machine), ""); err != nil || len(r.Notes) > 0 {
		w.t.Errorf("the audit log of %s: %+v, %v", machine, r, err)
	}
	var all []string
	if err := ShowAudit(w.common(machine), func(line []byte) bool { all = append(all, string(line)); return true }); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// wantLine wants a line with all these words.
func wantLine(t *testing.T, lines []string, words ...string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(l string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(l, word) })
	}) {
		t.Errorf("no line says %q:\n%s", words, strings.Join(lines, "\n"))
	}
}

// Who administers a machine stands in its audit log, whether its daemon runs or not, and whether
// it was a command or a hand that changed the grants.
func TestAuditAdministration(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	d := w.common("daemon")
	stop := w.expose("daemon", nil, "echo="+echoServer(t))
	code, err := MakePairing(t.Context(), PairOptions{Common: d, Targets: []string{"echo"}, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RedeemPairing(t.Context(), RedeemOptions{Common: w.common("client"), Code: code.Code, URL: "http://" + w.relay.Addr}); err != nil {
		t.Fatal(err)
	}
	rows, _, err := Clients(t.Context(), d)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	key := rows[0].Key.String()
	if _, err := RenameClient(t.Context(), d, rows[0].Name, "phone"); err != nil {
		t.Fatal(err)
	}
	w.login("other", "client")
	other, err := DeviceKey(w.common("other"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Grant(t.Context(), GrantOptions{Common: d, Client: other.Key.String(), Name: "tablet", Targets: []string{"echo"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := ImportClients(t.Context(), d, "old-machine.txt", strings.NewReader(other.Key.String()+" tablet targets=web\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := Revoke(t.Context(), d, "tablet"); err != nil {
		t.Fatal(err)
	}
	if _, err := TrustAccept(t.Context(), w.common("other"), "daemon", mustKey(t, d).Fingerprint); err != nil {
		t.Fatal(err)
	}
	if _, err := TrustForget(t.Context(), w.common("other"), "daemon"); err != nil {
		t.Fatal(err)
	}
	// By hand, while the daemon runs: it says so.
	file := filepath.Join(w.dir, "daemon", "authorized_clients")
	writeLines(t, file, append(readLines(t, file), other.Key.String()+" byhand targets=echo"))
	w.eventually("the daemon's word about the hand's work", func() bool {
		return slices.ContainsFunc(w.auditLines("daemon"), func(l string) bool { return strings.Contains(l, actGrantInUse) && strings.Contains(l, "byhand") })
	})
	writeLines(t, file, readLines(t, file)[:len(readLines(t, file))-1])
	w.eventually("the daemon's word about the hand's other work", func() bool {
		return slices.ContainsFunc(w.auditLines("daemon"), func(l string) bool { return strings.Contains(l, actGrantNotAny) && strings.Contains(l, "byhand") })
	})
	w.stealPairing(d)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Revoke(t.Context(), d, "phone"); err != nil { // nobody runs
		t.Fatal(err)
	}
	lines := w.auditLines("daemon")
	uid := `"uid":` + jsonOf(t, os.Getuid())
	for _, words := range [][]string{
		{actLoggedIn, uid, `"account":"default"`},
		{actCodeMade, uid, `"targets":["echo"]`, `"for":"1h0m0s"`},
		{actPaired, key, `"targets":["echo"]`, `"expires"`},
		{actRefusedClient, mustKey(t, w.common("thief")).Key.String(), `"reason":"` + string(mux.RefusePairing) + `"`},
		{actRenamed, uid, key, `"client":"phone"`, `"named":"` + rows[0].Name},
		{actGranted, uid, other.Key.String(), `"client":"tablet"`, `"targets":["echo"]`},
		{actGranted, uid, `"client":"tablet"`, `"targets":["web"]`, `"imported":"old-machine.txt"`},
		{actRevoked, uid, `"client":"tablet"`},
		{actGrantNotAny, "byhand", "taken away"},
		{actRevoked, uid, `"client":"phone"`},
	} {
		wantLine(t, lines, words...)
	}
	wantLine(t, w.auditLines("client"), actTrusted, `"trust":"paired"`, mustKey(t, d).Key.String())
	wantLine(t, w.auditLines("other"), actTrusted, `"trust":"accepted"`)
	wantLine(t, w.auditLines("other"), actForgotten, `"daemon":"daemon"`)
	secret, err := parsePairCode(code.Code)
	if err != nil {
		t.Fatal(err)
	}
	lookup, psk := secret.derive()
	for _, form := range forms(lookup[:], psk[:]) {
		if strings.Contains(strings.Join(lines, ""), form) {
			t.Error("the audit log holds a part of the pairing code")
		}
	}
	if strings.Contains(strings.Join(lines, ""), code.Code) {
		t.Error("the audit log holds the pairing code")
	}
}

// stealPairing redeems a code of which only that half is known that the control plane knows too.
func (w *world) stealPairing(daemon Common) {
	w.t.Helper()
	w.login("thief", "client")
	code, err := MakePairing(w.t.Context(), PairOptions{Common: daemon})
	if err != nil {
		w.t.Fatal(err)
	}
	secret, err := parsePairCode(code.Code)
	if err != nil {
		w.t.Fatal(err)
	}
	lookup, _ := secret.derive()
	m, err := openMachine(w.t.Context(), w.common("thief"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.close()
	cl, _, err := m.controlPlane(w.relay.URL, "")
	if err != nil {
		w.t.Fatal(err)
	}
	sess, err := cl.RedeemPairing(w.t.Context(), lookup)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := m.pairWith(w.t.Context(), pairing{session: sess, psk: config.PSK{1}, baseURL: w.relay.URL}); CodeOf(err) != CodeRefused {
		w.t.Errorf("half a pairing code: %v", err)
	}
}

// What cannot be written down is not done.
func TestAuditOrNothing(t *testing.T) {
	c := Common{StateDir: filepath.Join(t.TempDir(), "state")}
	dir := testDir(t, c.StateDir)
	if err := os.Mkdir(dir.File(daemonAuditFile), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Grant(t.Context(), GrantOptions{Common: c, Client: strings.Repeat("A", 42) + "E", Name: "phone"})
	rows, _, lerr := Clients(t.Context(), c)
	if CodeOf(err) != CodeConfig || lerr != nil || len(rows) > 0 {
		t.Errorf("granted: %v; the clients are %+v, %v", err, rows, lerr)
	}
}

func mustKey(t *testing.T, c Common) KeyStatus {
	t.Helper()
	k, err := DeviceKey(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// forms are bytes in all the ways in which a log could show them.
func forms(secrets ...[]byte) []string {
	all := &wiretap{secrets: map[string]bool{}}
	for _, s := range secrets {
		all.add(s)
	}
	return slices.Collect(maps.Keys(all.secrets))
}
