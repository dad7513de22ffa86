package e2ee

import (
	"fmt"
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
