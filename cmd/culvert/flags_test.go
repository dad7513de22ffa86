package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"culvert/service"
	"culvert/tunnel"
)

// TestFlags checks for each command what its words become.
func TestFlags(t *testing.T) {
	state := t.TempDir()
	c := service.Common{StateDir: state}
	target := func(text string) tunnel.Target {
		t.Helper()
		v, err := tunnel.ParseTarget(text)
		if err != nil {
			t.Fatalf("ParseTarget(%q): %v", text, err)
		}
		return v
	}
	forward := func(text string) tunnel.ForwardSpec {
		t.Helper()
		v, err := tunnel.ParseForward(text)
		if err != nil {
			t.Fatalf("ParseForward(%q): %v", text, err)
		}
		return v
	}
	const dashed = "--Gn8qEk1OnR54cLzJTJRSLO1Q83kgX8EuHTza6gvXU" // a public key
	const hold = 10 * time.Minute
	const fp = "SHA256:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"
	limits := service.DefaultRelayLimits()
	own := limits
	own.PerAddress, own.ClientBytes, own.DaemonMessages, own.QueueBudget, own.TokenAge = 7, 10<<20, 0, 2<<30, time.Hour
	for _, test := range []struct {
		args string
		want any
	}{
		{"relay --max-per-address 7 --client-rate 10MiB --daemon-messages 0 --queue-budget 2GiB --max-token-age 1h", service.RelayOptions{
			Common: c, Listen: "127.0.0.1:8443", Grace: time.Minute, Limits: own,
		}},
		{"demo", service.DemoOptions{Listen: "127.0.0.1:0"}},
		{"demo --once --listen 127.0.0.1:8080", service.DemoOptions{Listen: "127.0.0.1:8080", Once: true}},
		{"relay", service.RelayOptions{Common: c, Listen: "127.0.0.1:8443", Grace: time.Minute, Limits: limits}},
		{"relay --listen :443 --public-url https://r.example --tls-cert c.pem --tls-key k.pem --db sqlite:x.db --grace 30s", service.RelayOptions{
			Common: c, Listen: ":443", PublicURL: "https://r.example", TLSCert: "c.pem", TLSKey: "k.pem", DB: "sqlite:x.db", Grace: 30 * time.Second, Limits: limits,
		}},
		{"relay --listen :80 --behind-proxy", service.RelayOptions{Common: c, Listen: ":80", BehindProxy: true, Grace: time.Minute, Limits: limits}},
		{"relay key list --db sqlite:x.db", service.KeyStoreOptions{Common: c, DB: "sqlite:x.db"}},
		{"expose web=3000", service.ExposeOptions{Common: c, Targets: []tunnel.Target{target("web=3000")}, HoldTime: hold}},
		{"expose --name laptop --replace --pair --hold-time 1h web=3000 ssh=127.0.0.1:22", service.ExposeOptions{
			Common: c, Name: "laptop", Replace: true, Pair: true, HoldTime: time.Hour,
			Targets: []tunnel.Target{target("web=3000"), target("ssh=127.0.0.1:22")},
		}},
		{"pair", service.PairOptions{Common: c, TTL: 5 * time.Minute}},
		{"pair --targets web,ssh --for 30d --ttl 1m --wait", service.PairOptions{
			Common: c, Targets: []string{"web", "ssh"}, For: 30 * day, TTL: time.Minute,
		}},
		{"pair CODE", service.RedeemOptions{Common: c, Code: "CODE"}},
		{"pair CODE --relay https://r.example --ca-file ca.pem --as home", service.RedeemOptions{
			Common: c, Code: "CODE", URL: "https://r.example", CAFile: "ca.pem", As: "home",
		}},
		{"forward laptop web", service.ForwardOptions{
			Common: c, Daemon: "laptop", Forwards: []tunnel.ForwardSpec{forward("web")}, HoldTime: hold,
		}},
		{"forward laptop 8080:web 0:ssh --once --timeout 90s --when-held refuse --hold-time 5m", service.ForwardOptions{
			Common: c, Daemon: "laptop", Forwards: []tunnel.ForwardSpec{forward("8080:web"), forward("0:ssh")},
			Once: true, Timeout: 90 * time.Second, WhenHeldRefuse: true, HoldTime: 5 * time.Minute,
		}},
		{"stdio laptop ssh", service.StdioOptions{Common: c, Daemon: "laptop", Target: "ssh", Timeout: 30 * time.Second, HoldTime: hold}},
		{"stdio laptop ssh --timeout 1m", service.StdioOptions{Common: c, Daemon: "laptop", Target: "ssh", Timeout: time.Minute, HoldTime: hold}},
		{"grant phone --targets web,ssh --for 2h --name p", service.GrantOptions{
			Common: c, Client: "phone", Name: "p", Targets: []string{"web", "ssh"}, For: 2 * time.Hour,
		}},
		{"revoke phone", "phone"},
		{"revoke " + dashed, dashed},
		{"grant " + dashed + " --targets web --name -x", service.GrantOptions{
			Common: c, Client: dashed, Name: "-x", Targets: []string{"web"},
		}},
		{"daemons", c},
		{"trust accept laptop --fingerprint " + fp, "laptop " + fp},
		{"trust forget laptop", "laptop"},
	} {
		t.Run(test.args, func(t *testing.T) {
			r := newTestRun(t).run(append(strings.Fields(test.args), "--state-dir", state)...)
			if got, want := fmt.Sprintf("%+v", r.got), fmt.Sprintf("%+v", test.want); got != want {
				t.Errorf("got  %s\nwant %s\nstderr: %s", got, want, r.stderr.String())
			}
			if r.code != 0 {
				t.Errorf("exit code %d, want 0; stderr: %s", r.code, r.stderr.String())
			}
		})
	}
}

func TestFlagsOfKeys(t *testing.T) {
	state := t.TempDir()
	r := newTestRun(t).run("relay", "key", "create", "--state-dir", state, "--scope", "daemon,client", "--name", "n", "--expires", "30d")
	want := fmt.Sprintf("%+v", service.KeySpec{Name: "n", Account: "default", Scopes: []string{"daemon", "client"}, For: 30 * day})
	if got := fmt.Sprintf("%+v", r.got); !strings.Contains(got, want) {
		t.Errorf("create: got %s, want %s", got, want)
	}
	if got, want := r.stdout.String(), "cvk_k1_SECRETSECRETSECRET\n"; got != want {
		t.Errorf("create: stdout %q, want %q", got, want)
	}
	if strings.Contains(r.stderr.String(), "SECRET") {
		t.Errorf("create: the key is on stderr too: %s", r.stderr.String())
	}
	r = newTestRun(t).run("relay", "key", "revoke", "k1", "--state-dir", state)
	if got := fmt.Sprintf("%+v", r.got); !strings.HasSuffix(got, "ID:k1}") {
		t.Errorf("revoke: got %s", got)
	}
}

func TestStateDirPrecedence(t *testing.T) {
	fromEnv, fromFlag := t.TempDir(), t.TempDir()
	r := newTestRun(t)
	t.Setenv("CULVERT_STATE_DIR", fromEnv)
	if got := r.run("daemons").got.(service.Common).StateDir; got != fromEnv {
		t.Errorf("with the environment: %s, want %s", got, fromEnv)
	}
	if got := r.run("daemons", "--state-dir", fromFlag).got.(service.Common).StateDir; got != fromFlag {
		t.Errorf("with the flag: %s, want %s", got, fromFlag)
	}
	if got := r.run("daemons", "--state-dir", "here").got.(service.Common).StateDir; !filepath.IsAbs(got) {
		t.Errorf("a relative directory became %s, want an absolute one", got)
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "5m": 5 * time.Minute, "2h": 2 * time.Hour, "1h30m": 90 * time.Minute,
		"30d": 30 * day, "1d12h": 36 * time.Hour, "500ms": 500 * time.Millisecond, "106751d": 106751 * day,
	} {
		got, err := parseSpan(text)
		if err != nil || got != want {
			t.Errorf("parseSpan(%q) = %v, %v; want %v", text, got, err, want)
		}
		if back, err := parseSpan(short(want)); err != nil || back != want {
			t.Errorf("short(%v) = %q, which is read as %v, %v", want, short(want), back, err)
		}
	}
	for _, text := range []string{"", "0", "0s", "0d", "-5m", "d", "-1d", "1d-1h", "5", "1.5d", "106752d", "99999999999d", "1d1d", "soon", "1d106751d", "9999999h"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("parseSpan(%q) = %v, want an error", text, got)
		}
	}
	for d, want := range map[time.Duration]string{10 * time.Minute: "10m", 36 * time.Hour: "1d12h", 30 * day: "30d", 90 * time.Second: "1m30s", 2 * time.Hour: "2h", 61 * time.Minute: "1h1m"} {
		if got := short(d); got != want {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
}

func FuzzSpan(f *testing.F) {
	f.Add("1d12h")
	f.Add("9223372036854775807ns")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseSpan(text)
		if err != nil {
			return
		}
		if d <= 0 {
			t.Fatalf("parseSpan(%q) = %v", text, d)
		}
		if back, err := parseSpan(short(d)); err != nil || back != d {
			t.Fatalf("parseSpan(%q) = %v, written as %q, read as %v, %v", text, d, short(d), back, err)
		}
	})
}
