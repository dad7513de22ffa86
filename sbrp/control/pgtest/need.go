package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// find looks for one of PostgreSQL's programs in PATH and where Debian keeps them. Empty:
// this machine does not have it.
func find(name string) string {
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // several versions may live there
	if err != nil {
		debian = nil // name is no pattern
	}
	for _, path := range append([]string{name}, debian...) {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}

// Need leaves the test out where there is no PostgreSQL, and fails it where
// CULVERT_TEST_REQUIRE_ALL=1 says that everything must be there.
func Need(t testing.TB) {
	t.Helper()
	if find("initdb") != "" && find("postgres") != "" {
		return
	}
	if os.Getenv("CULVERT_TEST_REQUIRE_ALL") == "1" {
		t.Fatal("CULVERT_TEST_REQUIRE_ALL=1, but this machine has no PostgreSQL server")
	}
	if name := os.Getenv("CULVERT_TEST_LEFT_OUT"); name != "" { // what `make test` shows at its end
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatalf("note what was left out: %v", err)
		}
		defer f.Close()
		if _, err := fmt.Fprintf(f, "%s needs postgres\n", t.Name()); err != nil {
			t.Fatalf("note what was left out: %v", err)
		}
	}
	t.Skip("left out: this machine has no PostgreSQL server")
}
