package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/sbrptest"
)

// TestConformance proves what section 9 asks of files and of what people compare.
func TestConformance(t *testing.T) {
	s := sbrptest.NewSuite("config")
	s.Case("9.4", "client", "text of a fingerprint", fingerprintText)
	s.Case("9.5", "daemon", "mode of a new key file", keyFileMode)
	s.Case("9.5", "daemon", "key file that the group may read", identityPermissions)
	s.Run(t)
}

func fingerprintText(t *testing.T) {
	k := sbrp.PublicKey{1, 2, 3, 31: 255}
	sum := sha256.Sum256(k[:])
	var pairs []string
	for _, b := range sum {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	if got, want := k.Fingerprint().String(), "SHA256:"+strings.Join(pairs, ":"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func keyFileMode(t *testing.T) {
	d := openDir(t)
	if _, err := d.Identity(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.File(identityFile))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 { // no permission bits there: see doc.go
		t.Errorf("mode %v", info.Mode())
	}
}
