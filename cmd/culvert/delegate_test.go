package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestExecuteFor checks what a service carries out for its group, and what not.
func TestExecuteFor(t *testing.T) {
	for _, test := range []struct {
		words, out string
		code       int
	}{
		{"clients", "FINGERPRINT", 0},
		{"clients --json", "", 0},
		{"trust list", "", 0},
		{"status", "", 0},
		{"grant", "", 2},
		{"pair CODE --ca-file /etc/shadow", "--ca-file cannot be given", 2},
		{"relay key list --db sqlite:/tmp/x", "--db cannot be given", 2},
		{"status --state-dir /tmp", "--state-dir cannot be given", 2},
		{"login https://relay.example.org", "does not carry out culvert login for others", 2},
		{"run laptop web -- sh", "does not carry out", 2},
		{"relay backup /tmp/x", "does not carry out", 2},
		{"man /tmp/x", "does not carry out", 2},
		{"service uninstall", "does not carry out", 2},
		{"nothing", "no command", 2},
	} {
		var stdout, stderr bytes.Buffer
		code := executeFor(t.Context(), t.TempDir(), strings.Fields(test.words), &stdout, &stderr)
		if out := stdout.String() + stderr.String(); code != test.code || !strings.Contains(out, test.out) {
			t.Errorf("%q: exit code %d, %q; want %d and %q", test.words, code, out, test.code, test.out)
		}
	}
}

// TestDelegate: the words go to the service without the state directory, and its exit code
// is the command's.
func TestDelegate(t *testing.T) {
	state := t.TempDir()
	for _, test := range []struct {
		args string
		sent string // empty: nothing
	}{
		{"clients --json --state-dir " + state, "clients --json"},
		{"--state-dir=" + state + " grant phone --targets web", "grant phone --targets web"},
		{"expose web=3000 --state-dir " + state, ""},
		{"version", ""},
	} {
		var sent []string
		r := newTestRun(t)
		r.a.calls.delegate = func(_ context.Context, dir string, words []string, stdout, stderr io.Writer) (int, bool, error) {
			if dir != state {
				t.Errorf("%q: for %s, want %s", test.args, dir, state)
			}
			sent = words
			fmt.Fprintln(stdout, "out")
			fmt.Fprintln(stderr, "err")
			return 24, true, nil
		}
		r.run(strings.Fields(test.args)...)
		if !slices.Equal(sent, strings.Fields(test.sent)) && test.sent != "" || (test.sent == "") != (sent == nil) {
			t.Errorf("%q: sent %q, want %q", test.args, sent, test.sent)
		}
		if sent != nil && (r.code != 24 || r.stdout.String() != "out\n" || r.stderr.String() != "err\n") {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", test.args, r.code, r.stdout.String(), r.stderr.String())
		}
	}
}
