package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"culvert/config"
	"culvert/sbrp"
	"culvert/service"
)

// testRun is one command line that was run with a double of package service.
type testRun struct {
	a              *app
	stdout, stderr bytes.Buffer
	got            any // the options of the call that was made
	code           int
}

var errUnset = errors.New("this test made no answer for the call")

// newTestRun makes an app whose calls keep their options and answer with nothing.
func newTestRun(t *testing.T) *testRun {
	t.Helper()
	r := &testRun{}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	r.a = &app{
		stdin: stdin,
		print: &printer{stdout: &r.stdout, stderr: &r.stderr, loc: time.UTC},
		calls: r.recorded(),
	}
	t.Setenv("CULVERT_STATE_DIR", "")
	t.Setenv("CULVERT_API_KEY_FILE", "")
	return r
}

// run runs the words and keeps the exit code.
func (r *testRun) run(args ...string) *testRun {
	r.code = run(r.a, args)
	return r
}

// input makes text the stdin.
func (r *testRun) input(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r.a.stdin = f
}

// recorded are calls that keep what they were given. What cannot be compared, such as
// functions and loggers, is left out.
func (r *testRun) recorded() calls {
	type keyCall struct {
		service.KeyStoreOptions
		Spec service.KeySpec
		ID   string
	}
	plain := func(c service.Common) service.Common { return service.Common{StateDir: c.StateDir} }
	return calls{
		login: func(_ context.Context, o service.LoginOptions) (service.LoginResult, error) {
			o.Common = plain(o.Common)
			r.got = o
			return service.LoginResult{}, nil
		},
		daemons: func(_ context.Context, c service.Common) ([]service.DaemonRow, error) {
			r.got = plain(c)
			return nil, nil
		},
		expose: func(_ context.Context, o service.ExposeOptions, _ service.Sink) error {
			o.Common, o.Ready, o.Retry = plain(o.Common), nil, nil
			r.got = o
			return nil
		},
		forward: func(_ context.Context, o service.ForwardOptions, _ service.Sink) error {
			o.Common, o.Ready, o.Trust, o.Retry = plain(o.Common), nil, nil, nil
			r.got = o
			return nil
		},
		stdio: func(_ context.Context, o service.StdioOptions) error {
			o.Common, o.Trust, o.In, o.Out, o.Connected = plain(o.Common), nil, nil, nil, nil
			r.got = o
			return nil
		},
		run: func(_ context.Context, o service.RunOptions, _ service.Sink) (int, error) {
			o.Common, o.Trust, o.Stdin, o.Stdout, o.Stderr = plain(o.Common), nil, nil, nil, nil
			o.Signals, o.PassOn, o.Starting, o.Started = nil, nil, nil, nil
			r.got = o
			return 0, nil
		},
		sshCommand: func(o service.SSHOptions) ([]string, error) {
			o.Common = plain(o.Common)
			r.got = o
			return []string{"/usr/bin/ssh"}, nil
		},
		sshConfig: func(o service.SSHOptions) (string, error) {
			o.Common = plain(o.Common)
			r.got = o
			return "Host laptop\n", nil
		},
		become: func([]string) (int, error) { return 0, nil },
		knownTargets: func(_ service.Common, daemon string) []service.TargetHint {
			return []service.TargetHint{{Name: "web", Kind: "tcp"}, {Name: "lan", Kind: "cidr"}, {Name: daemon, Kind: "unix"}}
		},
		doctor: func(_ context.Context, o service.DoctorOptions, _ func(service.Hop)) error {
			o.Common, o.Looking = plain(o.Common), nil
			r.got = o
			return nil
		},
		bench: func(_ context.Context, o service.BenchOptions) (service.BenchResult, error) {
			o.Common, o.Trust, o.Step = plain(o.Common), nil, nil
			r.got = o
			return service.BenchResult{Daemon: o.Daemon}, nil
		},
		makePairing: func(_ context.Context, o service.PairOptions) (service.PairingCode, error) {
			o.Common = plain(o.Common)
			r.got = o
			return service.PairingCode{Code: "ABCDE-FGHJK", ExpiresAt: time.Unix(1e9, 0), Running: true}, nil
		},
		waitPairing: func(context.Context, service.Common, service.PairingCode) (service.ClientRow, error) {
			return service.ClientRow{Name: "phone"}, nil
		},
		redeemPairing: func(_ context.Context, o service.RedeemOptions) (service.Paired, error) {
			o.Common = plain(o.Common)
			r.got = o
			return service.Paired{Daemon: "laptop", Targets: []string{"web", "ssh"}}, nil
		},
		grant: func(_ context.Context, o service.GrantOptions) (service.ClientRow, error) {
			o.Common = plain(o.Common)
			r.got = o
			return service.ClientRow{Name: o.Client, Targets: o.Targets}, nil
		},
		revoke: func(_ context.Context, _ service.Common, client string) (service.ClientRow, error) {
			r.got = client
			return service.ClientRow{Name: client}, nil
		},
		clients:   func(context.Context, service.Common) ([]service.ClientRow, []error, error) { return nil, nil, errUnset },
		deviceKey: func(service.Common) (service.KeyStatus, error) { return service.KeyStatus{}, nil },
		protectKey: func(_ context.Context, o service.ProtectOptions) (service.KeyStatus, error) {
			o.Common, o.Next = plain(o.Common), nil
			r.got = o
			return service.KeyStatus{}, nil
		},
		trustList: func(service.Common) ([]config.KnownDaemon, []error, error) { return nil, nil, nil },
		trustAccept: func(_ context.Context, _ service.Common, name string, fp sbrp.Fingerprint) (config.KnownDaemon, error) {
			r.got = name + " " + fp.String()
			return config.KnownDaemon{Name: name}, nil
		},
		trustForget: func(_ context.Context, _ service.Common, name string) (config.KnownDaemon, error) {
			r.got = name
			return config.KnownDaemon{Name: name}, nil
		},
		runRelay: func(_ context.Context, o service.RelayOptions, _ service.Sink) error {
			o.Common, o.Ready = plain(o.Common), nil
			r.got = o
			return nil
		},
		createKey: func(_ context.Context, o service.KeyStoreOptions, spec service.KeySpec) (service.KeyRow, string, error) {
			o.Common = plain(o.Common)
			r.got = keyCall{o, spec, ""}
			return service.KeyRow{ID: "k1", Account: spec.Account}, "cvk_k1_SECRETSECRETSECRET", nil
		},
		listKeys: func(_ context.Context, o service.KeyStoreOptions) ([]service.KeyRow, error) {
			o.Common = plain(o.Common)
			r.got = o
			return nil, nil
		},
		revokeKey: func(_ context.Context, o service.KeyStoreOptions, id string) (service.KeyRow, error) {
			o.Common = plain(o.Common)
			r.got = keyCall{o, service.KeySpec{}, id}
			return service.KeyRow{ID: id}, nil
		},
		demo: func(_ context.Context, o service.DemoOptions, _ service.Sink) error {
			o.Program, o.Logger, o.Ready = "", nil, nil
			r.got = o
			return nil
		},
	}
}
