package config

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"culvert/sbrp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openDir opens a fresh state directory.
func openDir(t testing.TB) *Dir {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "state"))
}

func openAt(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close state directory: %v", err)
		}
	})
	return d
}

func writeFile(t testing.TB, path, text string, perm os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, perm)
}

func chmod(t testing.TB, path string, perm os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, perm); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// key makes a public key that is told apart by n.
func key(n byte) sbrp.PublicKey {
	var k sbrp.PublicKey
	for i := range k {
		k[i] = n ^ byte(i)
	}
	return k
}
