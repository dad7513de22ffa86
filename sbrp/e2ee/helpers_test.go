package e2ee

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// mustPanic fails unless f panics with a message that holds want.
func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
			t.Errorf("panic: got %q, want %q in it", got, want)
		}
	}()
	f()
}

// vectorHex calls add with every run of hex in a vector file that is at most 4 KiB.
func vectorHex(f *testing.F, file string, add func(b []byte)) {
	f.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"([0-9a-f]+)"`).FindAllSubmatch(data, -1) {
		if b, err := hex.DecodeString(string(m[1])); err == nil && len(b) <= 4096 {
			add(b)
		}
	}
}
