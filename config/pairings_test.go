package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func pairing(n byte, expires time.Time) Pairing {
	return Pairing{
		Lookup: [16]byte{n}, PSK: PSK(bytes.Repeat([]byte{n}, 32)), Expires: expires,
		Targets: []string{"web", "ssh"}, For: 36 * time.Hour, Name: "phone",
	}
}

func is(lookup byte) func(Pairing) bool {
	return func(p Pairing) bool { return p.Lookup == [16]byte{lookup} }
}

func TestPairings(t *testing.T) {
	d := openDir(t)
	p := d.Pairings()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p.now = func() time.Time { return now }
	if ps, err := p.List(); err != nil || len(ps) != 0 {
		t.Errorf("List without a file = %v, %v", ps, err)
	}
	if _, err := p.Take(is(1), key(1)); !errors.Is(err, ErrNoPairing) {
		t.Errorf("Take without a file: %v", err)
	}
	if err := p.Purge(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(d.File(pairingsFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing to store made a file: %v", err)
	}
	want := pairing(1, now.Add(5*time.Minute))
	for _, q := range []Pairing{want, pairing(2, now.Add(time.Minute)), pairing(3, now.Add(time.Minute))} {
		if err := p.Add(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Add(pairing(1, now.Add(time.Minute))); err == nil {
		t.Error("the same lookup was added twice")
	}
	if err := p.Remove([16]byte{3}); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove([16]byte{3}); err != nil {
		t.Errorf("Remove again: %v", err)
	}
	state := func(n byte, wantState PairingState, by byte) {
		t.Helper()
		got, who, err := p.State([16]byte{n})
		if err != nil || got != wantState || by != 0 && who != key(by) {
			t.Errorf("State(%d) = %v, %v, %v, want %v", n, got, who, err, wantState)
		}
	}
	state(1, PairingPending, 0)
	state(3, PairingGone, 0)
	got, err := p.Take(is(1), key(7))
	if err != nil || got.PSK != want.PSK || got.Lookup != want.Lookup || got.For != want.For || got.Name != want.Name ||
		!slices.Equal(got.Targets, want.Targets) || !got.Expires.Equal(want.Expires) {
		t.Errorf("Take = %+v, %v", got, err)
	}
	if _, err := p.Take(is(1), key(8)); !errors.Is(err, ErrNoPairing) {
		t.Errorf("second Take: %v, want ErrNoPairing", err)
	}
	state(1, PairingUsed, 7)
	text := readFile(t, d.File(pairingsFile))
	if strings.Contains(text, strings.Repeat("01", 32)) {
		t.Error("the secret of a used code is still in the file")
	}
	now = now.Add(time.Minute)
	state(2, PairingGone, 0)
	if ps, err := p.List(); err != nil || len(ps) != 0 {
		t.Errorf("List after expiry = %v, %v", ps, err)
	}
	if _, err := p.Take(func(Pairing) bool { return true }, key(1)); !errors.Is(err, ErrNoPairing) {
		t.Errorf("Take of an expired one: %v", err)
	}
	if err := p.Purge(); err != nil {
		t.Fatal(err)
	}
	if text := readFile(t, d.File(pairingsFile)); strings.Contains(text, "0202") {
		t.Errorf("Purge left an expired secret:\n%s", text)
	}
	state(1, PairingUsed, 7)
	now = now.Add(usedFor)
	state(1, PairingGone, 0)
}

func TestPairingsRefusals(t *testing.T) {
	p := openDir(t).Pairings()
	soon := time.Now().Add(time.Minute)
	for name, change := range map[string]func(*Pairing){
		"expired":      func(q *Pairing) { q.Expires = time.Now() },
		"no targets":   func(q *Pairing) { q.Targets = nil },
		"bad target":   func(q *Pairing) { q.Targets = []string{"a b"} },
		"bad name":     func(q *Pairing) { q.Name = "a b" },
		"negative for": func(q *Pairing) { q.For = -1 },
	} {
		q := pairing(1, soon)
		change(&q)
		if err := p.Add(q); err == nil {
			t.Errorf("%s: Add worked", name)
		}
	}
	for n := range maxPairings {
		if err := p.Add(pairing(byte(n), soon)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Add(pairing(200, soon)); err == nil {
		t.Error("more codes than the bound were added")
	}
}

// Many takers in many open directories: one gets it.
func TestTakeOnce(t *testing.T) {
	d := openDir(t)
	if err := d.Pairings().Add(pairing(1, time.Now().Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	var wg sync.WaitGroup
	for n := range byte(8) {
		p := openAt(t, d.Path()).Pairings()
		wg.Go(func() {
			switch _, err := p.Take(is(1), key(n)); {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, ErrNoPairing):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d takers got the pairing, want 1", got.Load())
	}
}

func TestPairingsDamaged(t *testing.T) {
	good := `{"lookup":"` + strings.Repeat("ab", 16) + `","psk":"` + strings.Repeat("cd", 32) + `","expires":"2999-01-01T00:00:00Z","targets":["web"]}`
	for name, text := range map[string]string{
		"empty":         "",
		"no JSON":       "cdcdcdcd",
		"trailing":      `{"pending":[]}{}`,
		"unknown field": `{"pending":[],"psk":"cdcdcdcd"}`,
		"short lookup":  `{"pending":[` + strings.Replace(good, "abab", "ab", 1) + `]}`,
		"short psk":     `{"pending":[` + strings.Replace(good, "cdcd", "cd", 1) + `]}`,
		"bad psk":       `{"pending":[` + strings.Replace(good, "cdcd", "cdxx", 1) + `]}`,
		"bad for":       `{"pending":[` + strings.Replace(good, `"targets"`, `"for":"soon","targets"`, 1) + `]}`,
		"bad target":    `{"pending":[` + strings.Replace(good, `"web"`, `"w b"`, 1) + `]}`,
		"used lookup":   `{"used":[{"lookup":"x"}]}`,
		"used key":      `{"used":[{"lookup":"` + strings.Repeat("ab", 16) + `","client":"cdcdcdcd"}]}`,
	} {
		d := openDir(t)
		writeFile(t, d.File(pairingsFile), text, 0o600)
		for what, err := range map[string]error{
			"List": func() error { _, err := d.Pairings().List(); return err }(),
			"Take": func() error { _, err := d.Pairings().Take(is(1), key(1)); return err }(),
			"Add":  d.Pairings().Add(pairing(1, time.Now().Add(time.Minute))),
		} {
			if err == nil || errors.Is(err, ErrNoPairing) {
				t.Errorf("%s: %s: %v, want an error about the file", name, what, err)
				continue
			}
			if strings.Contains(err.Error(), "cdcd") {
				t.Errorf("%s: %s repeats a secret: %v", name, what, err)
			}
		}
	}
	d := openDir(t)
	writeFile(t, d.File(pairingsFile), `{"pending":[`+good+`]}`, 0o600)
	if ps, err := d.Pairings().List(); err != nil || len(ps) != 1 {
		t.Errorf("the good one: %v, %v", ps, err)
	}
}

func TestEnrollment(t *testing.T) {
	d := openDir(t)
	if _, err := d.Enrollment(); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("not enrolled: %v", err)
	}
	want := Enrollment{URL: "https://relay.example.org", CAFile: filepath.Join(d.Path(), "ca.pem"), Account: "default", DeviceID: "dev_1", DaemonID: "d_1", Name: "laptop", Scopes: []string{"daemon", "client"}}
	if err := d.SaveEnrollment(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Enrollment()
	if err != nil || !slices.Equal(got.Scopes, want.Scopes) {
		t.Fatalf("Enrollment = %+v, %v", got, err)
	}
	got.Scopes, want.Scopes = nil, nil
	if got.URL != want.URL || got.CAFile != want.CAFile || got.DeviceID != want.DeviceID || got.DaemonID != want.DaemonID || got.Account != want.Account || got.Name != want.Name {
		t.Errorf("Enrollment = %+v, want %+v", got, want)
	}
	for name, change := range map[string]func(*Enrollment){
		"no URL":      func(e *Enrollment) { e.URL = "" },
		"no device":   func(e *Enrollment) { e.DeviceID = "" },
		"relative CA": func(e *Enrollment) { e.CAFile = "ca.pem" },
	} {
		e := want
		change(&e)
		if err := d.SaveEnrollment(e); err == nil {
			t.Errorf("%s: SaveEnrollment worked", name)
		}
	}
	for _, text := range []string{"", "{}", `{"url":"https://x","device_id":"d","extra":1}`, `{"url":"ftp://x","device_id":"d"}`, "null null"} {
		writeFile(t, d.File(enrollmentFile), text, 0o600)
		if _, err := d.Enrollment(); err == nil || !strings.Contains(err.Error(), "culvert login") {
			t.Errorf("file %q: %v, want an error that says what to do", text, err)
		}
	}
	if err := d.ForgetEnrollment(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Enrollment(); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("forgotten: %v", err)
	}
}

func TestCheckControlURL(t *testing.T) {
	for _, ok := range []string{"https://relay.example.org", "http://127.0.0.1:8443", "https://h/path", "https://[::1]:1"} {
		if err := CheckControlURL(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "relay.example.org", "ws://x", "https://", "https://user:hunter2@x", "https://x?token=hunter2", "https://x#hunter2", "https://x/%zz hunter2", ":"} {
		err := CheckControlURL(bad)
		if err == nil {
			t.Errorf("%s: no error", bad)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats it: %v", bad, err)
		}
	}
}
