package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/service"
)

// sample has every event, as a session of some minutes would.
func sample() []service.Event {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 14, 2, s, 345e6, time.UTC) }
	const fp = "SHA256:00:11:22"
	return []service.Event{
		{Time: at(1), Event: service.EventOnline, URL: "https://relay.example.org", Addr: "[::]:8443"},
		{Time: at(2), Event: service.EventOnline, DaemonID: "d1", Name: "laptop", Fingerprint: fp, Relay: "wss://relay.example.org/relay"},
		{Time: at(3), Event: service.EventPairingCode, PairingCode: "7K2M9-X4QTB", URL: "https://relay.example.org", ExpiresAt: at(3).Add(5 * time.Minute)},
		{Time: at(4), Event: service.EventClientConnected, Client: "phone", Fingerprint: fp},
		{Time: at(5), Event: service.EventListening, Daemon: "laptop", Target: "web", Addr: "127.0.0.1:49731"},
		{Time: at(6), Event: service.EventTargetUnavailable, Daemon: "laptop", Target: "web", Code: "refused", Message: "connection refused"},
		{Time: at(7), Event: service.EventReady, Daemon: "laptop", Target: "web", Addr: "127.0.0.1:49731", RTT: 12400 * time.Microsecond, Fingerprint: fp},
		{Time: at(8), Event: service.EventReady, Daemon: "laptop", Target: "ssh", Addr: "127.0.0.1:2222", RTT: 348 * time.Microsecond},
		{Time: at(11), Event: service.EventHeld, Daemon: "laptop", Reason: "relay lost", Connections: new(3)},
		{Time: at(19), Event: service.EventResumed, Daemon: "laptop", After: 8100 * time.Millisecond, Kept: new(3), Lost: new(0)},
		{Time: at(20), Event: service.EventHeld, Daemon: "laptop", Connections: new(1)},
		{Time: at(21), Event: service.EventResumed, Daemon: "laptop", After: 900 * time.Millisecond, Kept: new(1), Lost: new(1)},
		{Time: at(22), Event: service.EventLost, Daemon: "laptop", Reason: "hold time over", Connections: new(2)},
		{Time: at(23), Event: service.EventClientDisconnected, Client: "phone", Fingerprint: fp, Reason: "closed"},
		{Time: at(24), Event: service.EventOffline, Reason: "connection reset"},
		{Time: at(25), Event: service.EventError, Code: "relay_unreachable", Message: "dial relay relay.example.org: no route", Mend: "check the network"},
		{Time: at(26), Event: "of a later version"},
	}
}

// TestLines compares what people and programs see with testdata/lines.golden and its kin.
func TestLines(t *testing.T) {
	for name, p := range map[string]*printer{
		"lines":  {},
		"colour": {colour: true},
		"json":   {json: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out, text bytes.Buffer
			p.stdout, p.stderr, p.loc = &out, &text, time.UTC
			p.setHold(10 * time.Minute)
			for _, e := range sample() {
				p.event(e)
			}
			p.note("not for --json")
			p.data("data")
			p.table([]string{"NAME", "STATUS"}, [][]string{{"laptop", "online"}, {"a", ""}})
			golden(t, name, fmt.Sprintf("[stdout]\n%s[stderr]\n%s", &out, &text))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (-update writes it anew): got\n%s\nwant\n%s", path, got, want)
	}
}

func TestFail(t *testing.T) {
	for _, test := range []struct {
		err                error
		json               bool
		wantOut, wantError string
	}{
		{errors.New("plain"), false, "", "culvert: plain\n"},
		{&service.Error{Code: service.CodeRefused, Name: "not_authorized", Err: errors.New("refused"), Mend: "culvert pair"}, false, "",
			"culvert: refused\n  try: culvert pair\n"},
		{fmt.Errorf("outer: %w", &service.Error{Name: "x", Err: errors.New("inner")}), false, "", "culvert: outer: inner\n"},
		{errors.New("from a peer: \x1b]0;title\x07 \u009b2J"), false, "", "culvert: from a peer: \uFFFD]0;title\uFFFD \uFFFD2J\n"},
		{errors.New("key cvk_ab12_ABCDEFGHJKMNPQRSTVWXYZ, token eyJhbGciOiJF.eyJzdWIiOiJ4.c2ln"), false, "", "culvert: key [redacted], token [redacted]\n"},
		{&service.Error{Name: "identity_key_changed", Err: errors.New("changed"), Mend: "forget"}, true,
			`"event":"error","code":"identity_key_changed","message":"changed","mend":"forget"}`, "culvert: changed\n  try: forget\n"},
	} {
		var out, text bytes.Buffer
		p := &printer{stdout: &out, stderr: &text, json: test.json, loc: time.UTC}
		p.fail(test.err)
		if got := text.String(); got != test.wantError {
			t.Errorf("%v: stderr %q, want %q", test.err, got, test.wantError)
		}
		if got := out.String(); !bytes.Contains([]byte(got), []byte(test.wantOut)) || (test.wantOut == "" && got != "") {
			t.Errorf("%v: stdout %q, want %q", test.err, got, test.wantOut)
		}
	}
}

// TestResults looks at what each command prints for its result.
func TestResults(t *testing.T) {
	key := sbrp.PublicKey{1, 2, 3}
	expires := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	row := service.ClientRow{Name: "phone", Key: key, Fingerprint: key.Fingerprint(), Targets: []string{"web"}, Expires: &expires, Live: 2, Running: true}
	cells := clientCells(row)
	if cells[0] != "phone" || cells[1] != "web" || cells[2] == "-" || cells[3] != "2" {
		t.Errorf("clientCells(%+v) = %q", row, cells)
	}
	row.Expired, row.Running, row.Targets = true, false, nil
	if cells = clientCells(row); cells[1] != "all targets" || cells[2] != "expired" || cells[3] != "-" {
		t.Errorf("clientCells(%+v) = %q", row, cells)
	}
	for want, d := range map[string]service.DaemonRow{
		"[a online CHANGED ]": {Name: "a", Online: true, Pinned: true, Changed: true},
		"[b offline pinned ]": {Name: "b", Pinned: true},
		"[c online - ]":       {Name: "c", Online: true},
	} {
		if got := fmt.Sprint(daemonCells(d)[:4]); got != want {
			t.Errorf("daemonCells(%+v) = %s, want %s", d, got, want)
		}
	}
	now := time.Now()
	for want, k := range map[string]service.KeyRow{
		"valid": {}, "revoked": {Revoked: &now, Expires: &expires}, "expired": {Expires: new(now.Add(-time.Hour))},
	} {
		if got := keyCells(k)[5]; got != want {
			t.Errorf("keyCells(%+v) says %q, want %q", k, got, want)
		}
	}
}

func TestLeftOut(t *testing.T) {
	var left leftOut
	for range 2 {
		if ok, err := left.condition("have:no-such-program"); ok || err != nil {
			t.Errorf("have:no-such-program = %v, %v; want false", ok, err)
		}
	}
	if got := fmt.Sprint(left.missing); got != "[no-such-program]" {
		t.Errorf("left out %s, want the program once", got)
	}
	if _, err := left.condition("no such condition"); err == nil {
		t.Error("an unknown condition is no error")
	}
}
