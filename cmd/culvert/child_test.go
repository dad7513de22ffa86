package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"context"

	"culvert/service"
	"culvert/tunnel"
)

// TestChildFlags checks what becomes of words around a "--".
func TestChildFlags(t *testing.T) {
	state := t.TempDir()
	c := service.Common{StateDir: state}
	db, err := tunnel.ParseForward("0:db")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		want any
	}{
		{"run laptop 0:db --once --timeout 3s -- make -v --json test", service.RunOptions{
			ForwardOptions: service.ForwardOptions{Common: c, Daemon: "laptop", Forwards: []tunnel.ForwardSpec{db}, Once: true, Timeout: 3 * time.Second, HoldTime: 10 * time.Minute},
			Command:        []string{"make", "-v", "--json", "test"},
		}},
		{"ssh laptop", service.SSHOptions{Common: c, Daemon: "laptop", Target: "ssh"}},
		{"ssh a@b@laptop --target git --trust-on-first-use -- -v uname -a", service.SSHOptions{
			Common: c, Daemon: "laptop", User: "a@b", Target: "git", FirstUse: true, Args: []string{"-v", "uname", "-a"},
		}},
		{"ssh-config me@laptop", service.SSHOptions{Common: c, Daemon: "laptop", User: "me", Target: "ssh"}},
	} {
		r := newTestRun(t).run(append([]string{"--state-dir", state}, strings.Fields(test.args)...)...)
		if got, want := fmt.Sprintf("%+v", r.got), fmt.Sprintf("%+v", test.want); got != want || r.code != 0 {
			t.Errorf("%s:\ngot  %s\nwant %s\nexit code %d, stderr: %s", test.args, got, want, r.code, r.stderr.String())
		}
	}
}

// TestChildExit checks that a child's exit code is passed on and nothing is said, whatever
// the code means elsewhere.
func TestChildExit(t *testing.T) {
	for _, code := range []int{0, 1, 2, 25, 143, 255} {
		r := newTestRun(t)
		r.a.calls.run = func(context.Context, service.RunOptions, service.Sink) (int, error) { return code, nil }
		if r.run("run", "laptop", "0:db", "--", "make"); r.code != code || r.stderr.Len()+r.stdout.Len() > 0 {
			t.Errorf("run: exit code %d, want %d; stdout %q, stderr %q", r.code, code, r.stdout.String(), r.stderr.String())
		}
		r = newTestRun(t)
		r.a.calls.become = func([]string) (int, error) { return code, nil }
		if r.run("ssh", "laptop"); r.code != code || r.stderr.Len() > 0 {
			t.Errorf("ssh: exit code %d, want %d; stderr %q", r.code, code, r.stderr.String())
		}
	}
}
