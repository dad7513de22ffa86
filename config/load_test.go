package config

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	def := func() (string, error) { return "default", nil }
	none := errors.New("no default")
	tests := []struct {
		flag, env, file string
		want            string
	}{
		{"flag", "env", "file", "flag"},
		{"flag", "", "", "flag"},
		{"", "env", "file", "env"},
		{"", "", "file", "file"},
		{"", "", "", "default"},
	}
	for _, tt := range tests {
		got, err := resolve(tt.flag, tt.env, tt.file, def)
		if err != nil || got != tt.want {
			t.Errorf("resolve(%q, %q, %q) = %q, %v, want %q", tt.flag, tt.env, tt.file, got, err, tt.want)
		}
	}
	if _, err := resolve("", "", "", func() (string, error) { return "", none }); !errors.Is(err, none) {
		t.Errorf("resolve without a default: %v", err)
	}
	if got, err := resolve("flag", "", "", func() (string, error) { return "", none }); got != "flag" || err != nil {
		t.Errorf("resolve asked for a default that it does not need: %q, %v", got, err)
	}
}

func TestStateDir(t *testing.T) {
	t.Setenv(EnvStateDir, "/from/env")
	if got, err := StateDir("/from/flag"); err != nil || got != abs(t, "/from/flag") {
		t.Errorf("with a flag: %q, %v", got, err)
	}
	if got, err := StateDir(""); err != nil || got != abs(t, "/from/env") {
		t.Errorf("with the environment: %q, %v", got, err)
	}
	if got, err := StateDir("relative"); err != nil || !filepath.IsAbs(got) {
		t.Errorf("a relative flag: %q, %v", got, err)
	}
	t.Setenv(EnvStateDir, "")
	if runtime.GOOS == "linux" {
		t.Setenv("XDG_CONFIG_HOME", "/xdg")
		if got, err := StateDir(""); err != nil || got != "/xdg/culvert" {
			t.Errorf("default: %q, %v", got, err)
		}
		t.Setenv("XDG_CONFIG_HOME", "")
		t.Setenv("HOME", "")
		if _, err := StateDir(""); err == nil || !strings.Contains(err.Error(), "--state-dir") {
			t.Errorf("without a home: %v, want an error that says what to do", err)
		}
	}
}

func abs(t *testing.T, p string) string {
	t.Helper()
	a, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAPIKeyFileAndNoColor(t *testing.T) {
	t.Setenv(EnvAPIKeyFile, "")
	t.Setenv(EnvNoColor, "")
	t.Setenv(EnvTerm, "xterm")
	if p, ok := APIKeyFile(""); ok {
		t.Errorf("APIKeyFile = %q, want none", p)
	}
	if NoColor() {
		t.Error("NoColor without NO_COLOR")
	}
	t.Setenv(EnvAPIKeyFile, "/env")
	t.Setenv(EnvNoColor, "1")
	if p, ok := APIKeyFile(""); !ok || p != "/env" {
		t.Errorf("APIKeyFile = %q, %v", p, ok)
	}
	if p, ok := APIKeyFile("/flag"); !ok || p != "/flag" {
		t.Errorf("APIKeyFile = %q, %v", p, ok)
	}
	if t.Setenv(EnvTerm, "dumb"); !NoColor() {
		t.Error("NoColor on a dumb terminal is false")
	}
	if t.Setenv(EnvTerm, ""); !NoColor() {
		t.Error("NO_COLOR=1 is not seen")
	}
}
