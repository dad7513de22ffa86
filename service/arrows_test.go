package service_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is the table of imports inside the module that the architecture allows: a package
// may import those named here and no others. A change of this table is a change of the
// design. "service" may import everything below it, which the test spells out as "*".
var arrows = map[string][]string{
	"cmd/culvert": {"service", "service/osservice", "config", "tunnel", "sbrp"},
	// Drives the real binary; the load run has thousands of real ends in one process.
	"cmd/bench": {"sbrp", "sbrp/api", "sbrp/e2ee", "sbrp/endpoint", "sbrp/wsconn"},
	"service":   {"*"},
	// Beside service, so that programs that embed that do not link service managers.
	"service/osservice": {"service", "config", "config/private"},
	"tunnel":            {"mux"},
	"mux":               {},
	"config":            {"sbrp", "sbrp/e2ee", "config/private"},
	// Files that nobody else may read: one place for all who keep some.
	"config/private": {},
	"sbrp":           {},
	"sbrp/e2ee":      {"sbrp"},
	"sbrp/token":     {"sbrp"},
	"sbrp/wsconn":    {"sbrp"},
	"sbrp/api":       {"sbrp"},
	"sbrp/endpoint":  {"sbrp", "sbrp/e2ee", "sbrp/wsconn"},
	"sbrp/relay":     {"sbrp", "sbrp/token", "sbrp/wsconn"},
	"sbrp/control":   {"sbrp", "sbrp/api", "sbrp/token", "config/private"},
	// The hostile relay, for tests and for `culvert relay --chaos`: it poses with keys of its own.
	"sbrp/chaos": {"sbrp", "sbrp/e2ee", "sbrp/wsconn"},
	// Imported by tests only, which the test checks too.
	"sbrp/sbrptest":       {"sbrp", "sbrp/chaos", "sbrp/wsconn"},
	"sbrp/control/pgtest": {},
	"mux/muxtest":         {"mux"},
}

// owners says which package alone may import a dependency outside the module.
var owners = map[string]string{
	"github.com/coder/websocket":                              "sbrp/wsconn",
	"github.com/hashicorp/yamux":                              "mux",
	"golang.org/x/crypto/chacha20poly1305":                    "sbrp/e2ee",
	"github.com/spf13/cobra":                                  "cmd/culvert",
	"github.com/golang-jwt/jwt/v5":                            "sbrp/token sbrp/api sbrp/control",
	"modernc.org/sqlite":                                      "sbrp/control",
	"github.com/jackc/pgx/v5":                                 "sbrp/control",
	"github.com/caddyserver/certmagic":                        "service",
	"filippo.io/age":                                          "config",
	"github.com/goccy/go-yaml":                                "config",
	"github.com/mdp/qrterminal/v3":                            "cmd/culvert",
	"github.com/prometheus/client_golang/prometheus":          "service",
	"github.com/prometheus/client_golang/prometheus/promhttp": "service",
	"github.com/kardianos/service":                            "service/osservice",
	"github.com/coreos/go-systemd/v22/daemon":                 "cmd/culvert",
	"github.com/rogpeppe/go-internal/testscript":              "",
}

type listed struct {
	ImportPath, Name     string
	Standard             bool
	GoFiles, CgoFiles    []string
	Imports, TestImports []string
	XTestImports         []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Standard,GoFiles,CgoFiles,Imports,TestImports,XTestImports", "culvert/...")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}

// TestArrows fails when a package imports what the architecture does not let it import.
func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "culvert/")
		if strings.HasPrefix(name, "examples/") {
			continue // examples stand outside: each may import what a user may
		}
		seen[name] = true
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s is not in the table of arrows: give it a place in the architecture first", name)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, name, imp, allowed)
		}
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("the table of arrows names package %s, which does not exist", name)
		}
	}
}

func checkImport(t *testing.T, from, imp string, allowed []string) {
	t.Helper()
	if owner, owned := owners[imp]; owned && !slices.Contains(strings.Fields(owner), from) {
		t.Errorf("%s imports %s, which only %q may import", from, imp, owner)
	}
	to, inside := strings.CutPrefix(imp, "culvert/")
	switch {
	case !inside:
		first, _, _ := strings.Cut(imp, "/")
		if from == "sbrp" && strings.Contains(first, ".") {
			t.Errorf("sbrp imports %s, but may import the standard library only", imp)
		}
	case strings.HasSuffix(to, "test"):
		t.Errorf("%s imports %s, which is for tests only", from, to)
	case slices.Contains(allowed, "*"):
		if strings.HasPrefix(to, "cmd/") || strings.HasPrefix(to, from+"/") {
			t.Errorf("%s imports %s", from, to)
		}
	case !slices.Contains(allowed, to):
		t.Errorf("%s imports %s; allowed are %v", from, to, allowed)
	}
}

// TestOnePackageDoc fails when a directory has no package documentation.
func TestPackageNames(t *testing.T) {
	for _, p := range listPackages(t) {
		switch p.Name {
		case "util", "utils", "common", "helpers", "types", "base", "misc", "lib", "pkg":
			t.Errorf("package %s: the name %q says nothing", p.ImportPath, p.Name)
		}
	}
}
