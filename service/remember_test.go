package service

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"culvert/config"
	"culvert/mux"
)

func TestRememberTargets(t *testing.T) {
	c := pinLaptop(t, "state")
	dir, err := config.Open(c.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if got := KnownTargets(c, "laptop"); got != nil {
		t.Errorf("before any connection: %v", got)
	}
	offer := []mux.TargetInfo{{Name: "web", Kind: "tcp", Port: 3000}, {Name: "$(reboot)", Kind: "tcp"}, {Name: "lan", Kind: "cidr"}}
	for range 2 {
		if err := rememberTargets(dir, "d1", offer); err != nil { // by its id
			t.Fatal(err)
		}
	}
	want := []TargetHint{{"web", "tcp"}, {"lan", "cidr"}}
	if got := KnownTargets(c, "laptop"); !slices.Equal(got, want) {
		t.Errorf("remembered %v, want %v", got, want)
	}
	if err := rememberTargets(dir, "other", offer); err != nil {
		t.Fatal(err)
	}
	if got := KnownTargets(c, "other"); got != nil {
		t.Errorf("a daemon that is not pinned is remembered: %v", got)
	}
	if _, err := TrustForget(t.Context(), c, "laptop"); err != nil {
		t.Fatal(err)
	}
	if err := rememberTargets(dir, "other", offer); err != nil {
		t.Fatal(err)
	}
	if got := KnownTargets(c, "laptop"); got != nil {
		t.Errorf("a forgotten daemon is remembered: %v", got)
	}
	for _, nonsense := range []string{"", "null", "[]", `{"laptop":[{"name":"a b"}]}`, "\x00"} {
		if err := os.WriteFile(filepath.Join(c.StateDir, targetsFile), []byte(nonsense), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := KnownTargets(c, "laptop"); len(got) != 0 {
			t.Errorf("%q is read as %v", nonsense, got)
		}
	}
}

// A connection is what makes targets known.
func TestForwardRemembers(t *testing.T) {
	w, _ := pairedWorld(t)
	f := w.forward("client", "daemon", "0:echo")
	f.waitFor(EventReady)
	deadline := time.After(testTimeout)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		got := KnownTargets(w.common("client"), "daemon")
		if slices.Equal(got, []TargetHint{{"echo", "tcp"}, {"down", "tcp"}}) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("remembered %v", got)
		}
	}
}
