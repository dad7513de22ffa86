package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"culvert/service/osservice"
)

// fakeService keeps what was asked of a service.
type fakeService struct {
	did   []string
	state osservice.State
}

func (f *fakeService) Name() string { return "culvert" }

func (f *fakeService) Install(context.Context) (osservice.Installed, error) {
	f.did = append(f.did, "install")
	return osservice.Installed{Name: "culvert", StateDir: "/var/lib/culvert", Hints: []string{"a hint"}}, nil
}

func (f *fakeService) Uninstall(_ context.Context, purge bool) (string, error) {
	f.did = append(f.did, fmt.Sprintf("uninstall purge=%t", purge))
	return "/var/lib/culvert", nil
}

func (f *fakeService) Start(_ context.Context, wait time.Duration) (osservice.Status, error) {
	f.did = append(f.did, fmt.Sprintf("start %v", wait))
	return osservice.Status{Name: "culvert", State: f.state, Text: "online as box"}, nil
}

func (f *fakeService) Restart(_ context.Context, wait time.Duration) (osservice.Status, error) {
	f.did = append(f.did, fmt.Sprintf("restart %v", wait))
	return osservice.Status{Name: "culvert", State: f.state}, nil
}

func (f *fakeService) Stop(context.Context) error {
	f.did = append(f.did, "stop")
	return nil
}

func (f *fakeService) Status(context.Context) (osservice.Status, error) {
	return osservice.Status{Name: "culvert", State: f.state}, nil
}

func (f *fakeService) LogCommand(lines int, follow, asJSON bool) ([]string, error) {
	f.did = append(f.did, fmt.Sprintf("logs %d %t %t", lines, follow, asJSON))
	return []string{"go"}, nil // a program that every machine with this test has
}

// TestService checks what the words of `culvert service` become.
func TestService(t *testing.T) {
	for _, test := range []struct {
		args  string
		state osservice.State
		spec  string // what of the spec is not zero
		did   string
		out   string // in stdout or stderr
		code  int
	}{
		{args: "install", spec: "up", did: "install", out: "culvert is installed; keys and configuration: /var/lib/culvert\na hint"},
		{args: "install relay --run-as me -- --listen :443 --tls-cert /c.pem --tls-key /k.pem", spec: "relay as me [--listen :443 --tls-cert /c.pem --tls-key /k.pem]", did: "install", out: "installed"},
		{args: "install --user --instance work -- /home/me/work.yaml", spec: "up work user [/home/me/work.yaml]", did: "install", out: "installed"},
		{args: "install --json", spec: "up", did: "install", out: `{"service":"culvert","state_dir":"/var/lib/culvert"}`},
		{args: "install relay -- --nope", out: "unknown flag: --nope", code: 2},
		{args: "install relay -- --tls-cert c.pem", out: "depends on the directory", code: 2},
		{args: "install -- work.yaml", out: "depends on the directory", code: 2},
		{args: "install -- --state-dir /s", out: "in front of the --", code: 2},
		{args: "install up relay", out: "takes 1 argument", code: 2},
		{args: "uninstall", spec: "up", did: "uninstall purge=false", out: "its keys stay in /var/lib/culvert"},
		{args: "uninstall relay --purge", spec: "relay", did: "uninstall purge=true", out: "/var/lib/culvert is gone"},
		{args: "start", state: osservice.Running, spec: "up", did: "start 30s", out: "culvert: running, online as box"},
		{args: "start --wait 5m", state: osservice.Starting, spec: "up", did: "start 5m0s", out: "it goes on trying"},
		{args: "restart relay", state: osservice.Running, spec: "relay", did: "restart 30s", out: "running"},
		{args: "stop", state: osservice.Stopped, spec: "up", did: "stop", out: "culvert: stopped"},
		{args: "status", state: osservice.Running, spec: "up", out: "culvert: running"},
		{args: "status --json", state: osservice.Starting, spec: "up", out: `{"service":"culvert","state":"starting"}`},
		{args: "status", state: osservice.Failed, spec: "up", out: "try: culvert service start", code: 1},
		{args: "status", state: osservice.NotInstalled, spec: "up", out: "try: culvert service install", code: 1},
		{args: "logs --lines 7 --follow", spec: "up", did: "logs 7 true false"},
		{args: "logs --lines 0", out: "nothing to show", code: 2},
		{args: "", out: "say which: install, logs", code: 2},
	} {
		t.Run(test.args, func(t *testing.T) {
			r := newTestRun(t)
			f := &fakeService{state: test.state}
			spec := ""
			r.a.calls.osService = func(s osservice.Spec) (osService, error) {
				spec = string(s.Role) + prefixed(" ", s.Instance) + prefixed(" as ", s.RunAs)
				if s.User {
					spec += " user"
				}
				if s.Args != nil {
					spec += fmt.Sprint(" ", s.Args)
				}
				return f, nil
			}
			r.run(append([]string{"service"}, strings.Fields(test.args)...)...)
			out := r.stdout.String() + r.stderr.String()
			if did := strings.Join(f.did, ", "); r.code != test.code || spec != test.spec || did != test.did || !strings.Contains(out, test.out) {
				t.Errorf("exit code %d, spec %q, did %q, said %s; want %d, %q, %q, %q", r.code, spec, did, out, test.code, test.spec, test.did, test.out)
			}
		})
	}
}
