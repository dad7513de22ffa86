//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWaitLine reads in tmux what is waited for: one line, which counts, fits the window
// also when that is made narrower, and is gone when the wait is over.
func TestWaitLine(t *testing.T) {
	var left leftOut
	if ok, _ := left.condition("have:tmux"); !ok { // never an error
		left.report(t)
		return
	}
	state := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("culvert", args...).Output()
		if err != nil {
			t.Fatalf("culvert %q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	relay := startProcess(t, "relay", "--state-dir", state+"/r", "--listen", "127.0.0.1:0")
	url := relay.match(t, `relay ready at (http://\S+) `)
	key := run("relay", "key", "create", "--state-dir", state+"/r", "--scope", "daemon,client")
	if err := os.WriteFile(state+"/key", []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	run("login", url, "--state-dir", state+"/d", "--key-file", state+"/key")
	expose := func() beside {
		d := startProcess(t, "expose", "--state-dir", state+"/d", "--name", "laptop", "web=1")
		d.match(t, "online as laptop")
		return d
	}
	daemon := expose()
	run("pair", "--relay", url, "--state-dir", state+"/c", run("pair", "--state-dir", state+"/d"))
	daemon.interrupt(t)

	m := startTmux(t, 100, 24)
	m.keys("PS1='prompt> '; clear", "Enter")
	m.see(`(?m)^prompt> *$`)
	m.keys("culvert forward laptop 0:web --state-dir "+state+"/c", "Enter")
	m.see(`(?m)-> laptop/web   waiting\n(.*\n)+waiting for laptop \(daemon offline\)   [1-9]\d*s$`)
	m.run("resize-window", "-t", m.session, "-x", "24", "-y", "24")
	screen := m.see(`(?m)^waiting for laptop \(dae$\n*\z`)
	if n := strings.Count(screen, "waiting for laptop"); n != 1 {
		t.Errorf("%d lines in a window that was made narrower, want 1:\n%s", n, screen)
	}
	m.run("resize-window", "-t", m.session, "-x", "100", "-y", "24")
	m.see(`(?m)^waiting for laptop \(daemon offline\)   \d+m?\d*s$\n*\z`)
	daemon = expose()
	m.see(`(?m)^! .* laptop/web: target "web": refused.*\n  try: .*\nwaiting for laptop/web \(refused\)   [1-9]\d*s$\n*\z`)
	m.keys("C-c")
	screen = m.see(`(?m)^prompt> *$`)
	if strings.Contains(screen, "\nwaiting for") {
		t.Errorf("the line is still there:\n%s", screen)
	}

	// doctor says at which hop it hangs, pair what it waits for; both end cleanly.
	m.keys("clear; culvert pair --wait --state-dir "+state+"/d", "Enter")
	m.see(`(?m)^waiting until the code is used   [1-9]\d*s$\n*\z`)
	m.keys("C-c")
	m.see(`(?m)^culvert: interrupted\n+prompt> *$`)
	daemon.interrupt(t)

	// Where redrawing is not wanted nothing is: only lines, whatever is waited for.
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		m.keys("clear; "+env+" culvert forward -v laptop 0:web --state-dir "+state+"/c", "Enter")
		screen = m.see(`(?s)(no carrier.*){7}`)
		if strings.Contains(screen, "\nwaiting for") {
			t.Errorf("%s: a line that is drawn anew:\n%s", env, screen)
		}
		m.keys("C-c")
		m.see(`(?m)prompt> *$\n*\z`)
	}
	relay.interrupt(t)

	// Something listens there and never answers.
	ln, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	m.keys("clear; culvert doctor --state-dir "+state+"/d", "Enter")
	m.see(`(?m)^ok    tls .*\nlooking at control plane   [1-9]\d*s$\n*\z`)
	m.keys("C-c")
	screen = m.see(`(?m)prompt> *$\n*\z`)
	if strings.Contains(screen, "looking at") {
		t.Errorf("the line is still there:\n%s", screen)
	}
}
