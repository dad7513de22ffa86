package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/service"
)

const secret = "cvk_ab12_ABCDEFGHJKMNPQRSTVWXYZ"

func TestAPIKey(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, other := file("good", secret+"\n"), file("other", "cvk_cd34_OTHER\n")
	for _, test := range []struct {
		name, flag, env, stdin string
		want                   string
		code                   int
	}{
		{name: "flag", flag: good, want: secret},
		{name: "environment", env: good, want: secret},
		{name: "flag before environment", flag: good, env: other, want: secret},
		{name: "environment before stdin", env: good, stdin: "cvk_cd34_OTHER", want: secret},
		{name: "stdin", stdin: secret + "\n", want: secret},
		{name: "stdin without line end", stdin: secret, want: secret},
		{name: "stdin by name", flag: "-", env: other, stdin: secret, want: secret},
		{name: "nothing", code: 2},
		{name: "empty line", stdin: "\n", code: 2},
		{name: "empty file", flag: file("empty", " \n"), code: 2},
		{name: "two words", flag: file("two", secret+" x"), code: 2},
		{name: "two lines", flag: file("lines", secret+"\n"+secret), code: 2},
		{name: "no file", flag: filepath.Join(dir, "none"), code: 10},
		{name: "directory", flag: dir, code: 10},
		{name: "a file that others can read", flag: loose(t, good), code: 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newTestRun(t)
			t.Setenv("CULVERT_API_KEY_FILE", test.env)
			r.input(t, test.stdin)
			args := []string{"login", "https://relay.example.org", "--state-dir", dir}
			if test.flag != "" {
				args = append(args, "--key-file", test.flag)
			}
			r.run(args...)
			if r.code != test.code {
				t.Fatalf("exit code %d, want %d; stderr %s", r.code, test.code, r.stderr.String())
			}
			if got, _ := r.got.(service.LoginOptions); got.APIKey.Reveal() != test.want {
				t.Errorf("got the key %q, want %q", got.APIKey.Reveal(), test.want)
			}
			wantNoSecret(t, r)
		})
	}
}

// loose returns a copy of a file, where there are modes one that other users can read.
func loose(t *testing.T, path string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		return filepath.Dir(path) // what others can read is tested where the access lists are
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+".loose", b, 0o600)
	}
	if err == nil {
		err = os.Chmod(path+".loose", 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path + ".loose"
}

// TestNoSecretShown has the ways in which a secret could reach the screen.
func TestNoSecretShown(t *testing.T) {
	for _, args := range [][]string{
		{"login", "https://relay.example.org", secret}, {secret}, {"login", "--" + secret}, {"login", "-" + secret},
		{"relay", "key", "revoke", "a", secret}, {"relay", "key", secret}, {"help", secret}, {"expose", secret + "=" + secret},
		{"forward", "laptop", secret + ":" + secret}, {"forward", "laptop", "web", "--timeout", secret},
		{"trust", "accept", "laptop", "--fingerprint", secret}, {"completion", secret}, {"version", "--log-format", secret},
	} {
		r := newTestRun(t).run(append(args, "--json")...)
		wantNoSecret(t, r)
	}
	r := newTestRun(t)
	r.a.calls.daemons = func(_ context.Context, c service.Common) ([]service.DaemonRow, error) {
		c.Logger.Warn("refused", "key", secret)
		return nil, &service.Error{Code: service.CodeLogin, Err: errors.New("key " + secret), Mend: "not with " + secret}
	}
	if r.run("daemons", "-v"); !strings.Contains(r.stderr.String(), "[redacted]") {
		t.Errorf("stderr %q, want the log line and the error", r.stderr.String())
	}
	wantNoSecret(t, r)
}

func wantNoSecret(t *testing.T, r *testRun) {
	t.Helper()
	if all := r.stdout.String() + r.stderr.String(); strings.Contains(all, "ABCDEFGH") {
		t.Errorf("the secret is shown: %s", all)
	}
}

func TestLog(t *testing.T) {
	for _, test := range []struct{ args, want, not string }{
		{"", "level=WARN", "level=INFO"},
		{"-v", "level=INFO", "level=DEBUG"},
		{"-vv", "level=DEBUG", "nothing"},
		{"-vvv --log-format json", `"level":"DEBUG"`, "level="},
	} {
		r := newTestRun(t)
		r.a.calls.daemons = func(_ context.Context, c service.Common) ([]service.DaemonRow, error) {
			c.Logger.Warn("w")
			c.Logger.Info("i")
			c.Logger.Debug("d")
			return nil, nil
		}
		r.run(append([]string{"daemons"}, strings.Fields(test.args)...)...)
		if got := r.stderr.String(); !strings.Contains(got, test.want) || strings.Contains(got, test.not) {
			t.Errorf("%q: log %q, want %q and not %q", test.args, got, test.want, test.not)
		}
	}
}

func TestTrust(t *testing.T) {
	var fp sbrp.Fingerprint
	r := newTestRun(t)
	if r.a.trust(t.Context(), false) != nil {
		t.Error("without a terminal and the flag there is somebody to ask")
	}
	if !r.a.trust(t.Context(), true)("laptop", fp) || !strings.Contains(r.stderr.String(), "laptop is pinned") {
		t.Errorf("--trust-on-first-use refuses, or says nothing: %q", r.stderr.String())
	}
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "\n": false, "n\n": false, "": false, "yep\n": false} {
		r := newTestRun(t)
		r.a.tty = tty{in: true, err: true}
		r.input(t, answer)
		if got := r.a.trust(t.Context(), false)("laptop", fp); got != want {
			t.Errorf("answer %q: %v, want %v", answer, got, want)
		}
		if !strings.Contains(r.stderr.String(), fp.String()) {
			t.Errorf("the question does not show the fingerprint: %q", r.stderr.String())
		}
	}
}

func TestPairFromStdin(t *testing.T) {
	r := newTestRun(t)
	r.input(t, "  7K2M9-X4QTB \n")
	r.run("pair", "-")
	if got, _ := r.got.(service.RedeemOptions); got.Code != "7K2M9-X4QTB" {
		t.Errorf("redeemed %q, want what stdin has", got.Code)
	}
	if got, want := r.stdout.String(), "culvert forward laptop web ssh\n"; got != want {
		t.Errorf("stdout %q, want the command to paste %q", got, want)
	}
}
