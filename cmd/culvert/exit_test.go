package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"culvert/service"
)

// TestExitCodes checks that the code of an error becomes the exit code.
func TestExitCodes(t *testing.T) {
	for _, code := range []service.Code{
		service.CodeFailure, service.CodeUsage, service.CodeConfig, service.CodeLogin, service.CodeRelay, service.CodeTLS,
		service.CodeDaemon, service.CodeRefused, service.CodeTarget, service.CodeIdentity, service.CodeBind, service.CodeHold,
	} {
		r := newTestRun(t)
		r.a.calls.forward = func(context.Context, service.ForwardOptions, service.Sink) error {
			return fmt.Errorf("forward: %w", &service.Error{Code: code, Name: "x", Err: errors.New("why")})
		}
		if r.run("forward", "laptop", "web"); r.code != int(code) {
			t.Errorf("exit code %d, want %d", r.code, code)
		}
		if line := fmt.Sprintf("\n  %2d  ", code); !strings.Contains(exitCodes, line) {
			t.Errorf("the help does not explain exit code %d", code)
		}
	}
}

// TestUsageErrors has what is found before a command begins: 2, with and without --json.
func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"--nonsense"}, {"forward", "--timeout"}, {"forward", "laptop", "web", "--timeout", "x"},
		{"version", "x"}, {"relay", "key"}, {"relay", "key", "nonsense"}, {"help", "nonsense"}, {"completion"},
		{"expose"}, {"demo", "x"}, {"trust", "show"}, {"login"}, {"stdio", "a", "b", "c"}, {"version", "--log-format", "x"},
		{"relay", "--ready-fd", "x"}, {"relay", "--ready-fd", "0"}, {"stdio", "a", "b", "--json"}, {"pair", "a", "b"},
	} {
		for _, json := range []bool{false, true} {
			r := newTestRun(t)
			if json {
				r.run(append(args, "--json")...)
			} else {
				r.run(args...)
			}
			if r.code != int(service.CodeUsage) || r.got != nil {
				t.Errorf("%q: exit code %d, call %v; want 2 and none", args, r.code, r.got)
			}
			if text := r.stderr.String(); !strings.HasPrefix(text, "culvert: ") || !strings.Contains(text, "\n  try: ") || strings.Contains(text, "Usage:") {
				t.Errorf("%q: stderr %q, want what is wrong and what to try", args, text)
			}
			if event := strings.Contains(r.stdout.String(), `"event":"error","code":"usage"`); event != json && !(args[0] == "stdio" && event) {
				t.Errorf("%q, json %v: stdout %q", args, json, r.stdout.String())
			}
		}
	}
}

// TestHelp checks that each command explains itself.
func TestHelp(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		words := strings.Fields(cmd.CommandPath())[1:]
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%q: Example %q, Short %q; want both", cmd.CommandPath(), cmd.Example, cmd.Short)
		}
		if cmd.Run != nil || cmd.RunE == nil {
			t.Errorf("%q: wants RunE and not Run", cmd.CommandPath())
		}
		r := newTestRun(t).run(append(words, "--help")...)
		if r.code != 0 || r.stderr.Len() > 0 || !strings.Contains(r.stdout.String(), "Examples:") {
			t.Errorf("%q --help: exit code %d, stdout %q, stderr %q", cmd.CommandPath(), r.code, r.stdout.String(), r.stderr.String())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRootCmd(newTestRun(t).a))
}

func TestCompletion(t *testing.T) {
	for _, shell := range shells {
		r := newTestRun(t).run("completion", shell)
		if r.code != 0 || !strings.Contains(r.stdout.String(), "culvert") {
			t.Errorf("completion %s: exit code %d, %d bytes", shell, r.code, r.stdout.Len())
		}
	}
}

func TestVersion(t *testing.T) {
	r := newTestRun(t).run("version")
	if r.code != 0 || !strings.HasPrefix(r.stdout.String(), "culvert ") {
		t.Errorf("version: exit code %d, stdout %q", r.code, r.stdout.String())
	}
	r = newTestRun(t).run("version", "--json")
	if r.code != 0 || !strings.HasPrefix(r.stdout.String(), `{"version":"`) {
		t.Errorf("version --json: exit code %d, stdout %q", r.code, r.stdout.String())
	}
}
