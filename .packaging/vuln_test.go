package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// vulnDB is a database of vulnerabilities in which a symbol of yamux is one.
func vulnDB(t *testing.T, symbol string) string {
	t.Helper()
	dir := t.TempDir()
	const id, at = "GO-2026-9999", "2026-01-01T00:00:00Z"
	for name, text := range map[string]string{
		"index/db.json":      `{"modified":"` + at + `"}`,
		"index/modules.json": `[{"path":"github.com/hashicorp/yamux","vulns":[{"id":"` + id + `","modified":"` + at + `"}]}]`,
		"index/vulns.json":   `[{"id":"` + id + `","modified":"` + at + `"}]`,
		"ID/" + id + ".json": `{"schema_version":"1.3.1","id":"` + id + `","modified":"` + at + `","published":"` + at + `","summary":"made up","database_specific":{"url":"https://example.org/` + id + `"},
			"affected":[{"package":{"name":"github.com/hashicorp/yamux","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],
			"ecosystem_specific":{"imports":[{"path":"github.com/hashicorp/yamux","symbols":["` + symbol + `"]}]}}]}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + filepath.ToSlash(dir)
}

// A known vulnerability in what culvert calls fails make vuln; one in what it does not call
// is none; and where the database cannot be reached, nobody is told that all is well.
func TestVuln(t *testing.T) {
	for name, test := range map[string]struct {
		db, proxy string
		code      int
		say, hush string
	}{
		"called":      {db: vulnDB(t, "Session.OpenStream"), code: 3, say: "GO-2026-9999"},
		"not called":  {db: vulnDB(t, "NoSuchFunction"), say: "known vulnerabilities of ./mux", hush: "NOT CHECKED"},
		"unreachable": {proxy: "http://127.0.0.1:1", say: "NOT CHECKED", hush: "No vulnerabilities found"},
		"no database": {db: "file:///nonexistent", code: 1, say: "nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("../.ci/vuln")
			cmd.Env = append(os.Environ(), "VULNDB="+test.db, "VULNPKGS=./mux", "GOPROXY=off")
			if test.proxy != "" {
				cmd.Env = append(cmd.Env, "HTTPS_PROXY="+test.proxy, "https_proxy="+test.proxy)
			}
			out, err := cmd.CombinedOutput()
			code := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != test.code || !strings.Contains(string(out), test.say) || test.hush != "" && strings.Contains(string(out), test.hush) {
				t.Errorf("exit code %d, want %d; said\n%s", code, test.code, out)
			}
		})
	}
}
