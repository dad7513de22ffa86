package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a terminal a passphrase is asked for, twice where it is new, and never shown.
func TestPassphraseOnTerminal(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	const first, second = "first phrase", "other phrase"
	talk := func(args []string, code int, lines ...string) string {
		t.Helper()
		c := onTerminal(t, []string{"CULVERT_PASSPHRASE_FILE="}, append(args, "--state-dir", state)...)
		for i := 0; i < len(lines); i += 2 {
			c.wait(lines[i])
			c.say(lines[i+1] + "\r")
			c.seen = c.seen[strings.Index(c.seen, ": ")+1:] // what was asked
		}
		if got := c.end(); got != code {
			t.Errorf("%q: exit code %d, want %d; on the screen:\n%s", args, got, code, c.seen)
		}
		for _, phrase := range []string{first, second} {
			if strings.Contains(c.seen, phrase) {
				t.Errorf("%q: the passphrase is shown:\n%s", args, c.seen)
			}
		}
		return c.seen
	}
	set := []string{"key", "passphrase"}
	if seen := talk(set, 2, `new passphrase`, first, `the same again`, second); !strings.Contains(seen, "differ") {
		t.Errorf("two that differ: %s", seen)
	}
	if seen := talk(set, 2, `new passphrase`, "short"); !strings.Contains(seen, "shorter than 8") {
		t.Errorf("a short one: %s", seen)
	}
	talk(set, 0, `new passphrase`, first, `the same again`, first)
	if b, err := os.ReadFile(filepath.Join(state, "identity.key")); err != nil || !strings.Contains(string(b), "\nculvert-device-key-v2 ") {
		t.Errorf("%q, %v", b, err)
	}
	if seen := talk(set, 10, `passphrase of this machine's key`, second); !strings.Contains(seen, "is wrong") {
		t.Errorf("a wrong one: %s", seen)
	}
	talk(set, 0, `passphrase of this machine's key`, first, `new passphrase`, second, `the same again`, second)
	talk([]string{"key", "passphrase", "--remove"}, 0, `passphrase of this machine's key`, second)
	talk([]string{"key", "passphrase", "--remove"}, 0) // nobody asks for what is not there
}
