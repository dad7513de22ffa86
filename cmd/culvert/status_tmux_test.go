//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestStatusWatch drives `culvert status --watch` in tmux by keys and reads the screen: it
// is drawn anew, follows what happens, fits the window, and leaves the terminal as it was.
func TestStatusWatch(t *testing.T) {
	var left leftOut
	if ok, _ := left.condition("have:tmux"); !ok { // never an error
		left.report(t)
		return
	}
	state := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("culvert", args...).CombinedOutput(); err != nil {
			t.Fatalf("culvert %q: %v\n%s", args, err, out)
		}
	}
	relay := startProcess(t, "relay", "--state-dir", state+"/r", "--listen", "127.0.0.1:0")
	url := relay.match(t, `relay ready at (http://\S+) `)
	key := filepath.Join(state, "key")
	out, err := exec.Command("culvert", "relay", "key", "create", "--state-dir", state+"/r", "--scope", "daemon,client").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, out, 0o600); err != nil {
		t.Fatal(err)
	}
	run("login", url, "--state-dir", state+"/d", "--key-file", key)

	m := startTmux(t, 100, 24)
	m.keys("PS1='prompt> '; clear", "Enter")
	m.see(`(?m)^prompt> *$`)
	m.keys("echo before; culvert status --watch --state-dir "+state+"/d", "Enter")
	m.see(`(?s)^culvert status   \d\d:\d\d:\d\d   Ctrl-C ends\n\nno culvert runs on `)

	daemon := startProcess(t, "expose", "--state-dir", state+"/d", "--name", "laptop", "web=3000", "ssh=22")
	daemon.match(t, "online as laptop")
	m.see(`(?m)^culvert expose   pid \d+   for \d+s\n  daemon laptop   online for \d+s   relay ws://127`)
	m.see(`(?m)^  web +localhost:3000 +0 +0$`)

	// A lower and narrower window cuts, and says so.
	m.run("resize-window", "-t", m.session, "-x", "40", "-y", "5")
	m.see(`(?m)^… \d more lines; make the terminal high`)
	m.see(`(?m)^  daemon laptop   online for .{1,12}…$`)
	m.run("resize-window", "-t", m.session, "-x", "100", "-y", "24")
	m.see(`(?m)^  ssh +localhost:22 +0 +0$`)

	relay.interrupt(t)
	m.see(`(?m)^  daemon laptop   offline for \d+s \(`)
	daemon.interrupt(t)
	screen := m.see(`no culvert runs on `)
	if strings.Contains(screen, "laptop") {
		t.Errorf("what was drawn before is still there:\n%s", screen)
	}
	m.keys("C-c")
	screen = m.see(`(?s)before\n.*prompt> *$`)
	if strings.Contains(screen, "Ctrl-C ends") {
		t.Errorf("the screen was not given back:\n%s", screen)
	}
	m.keys("echo code $?", "Enter")
	m.see(`(?m)^code 0$`)

	// Without redrawing where NO_COLOR asks for plain output.
	m.keys("clear; NO_COLOR=1 culvert status --watch --state-dir "+state+"/d", "Enter")
	m.see(`(?s)\d\d:\d\d:\d\d\nno culvert runs on [^\n]*\n\n\d\d:\d\d:\d\d\nno culvert runs on`)
	m.keys("C-c")
	m.see(`prompt> *$`)
}

// tmux is a tmux server of its own with one window.
type tmux struct {
	t       *testing.T
	socket  string
	session string
}

func startTmux(t *testing.T, width, height int) *tmux {
	t.Helper()
	dir, err := os.MkdirTemp("", "tm") // a short path: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	m := &tmux{t: t, socket: filepath.Join(dir, "s"), session: "test"}
	t.Cleanup(func() {
		m.run("kill-server")
		os.RemoveAll(dir)
	})
	m.run("-f", os.DevNull, "new-session", "-d", "-s", m.session, "-x", fmt.Sprint(width), "-y", fmt.Sprint(height),
		"env", "PATH="+os.Getenv("PATH"), "NO_COLOR=", "TERM=screen", "sh")
	return m
}

func (m *tmux) run(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(findProgram("tmux"), append([]string{"-S", m.socket}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// keys types; a word that tmux knows as a key's name, such as Enter, is that key.
func (m *tmux) keys(keys ...string) {
	m.t.Helper()
	m.run(append([]string{"send-keys", "-t", m.session}, keys...)...)
}

// see waits until the screen fits the pattern and returns it.
func (m *tmux) see(pattern string) string {
	m.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		screen := m.run("capture-pane", "-p", "-t", m.session)
		if re.MatchString(strings.TrimRight(screen, "\n")) {
			return screen
		}
		select {
		case <-tick.C:
		case <-timeout:
			m.t.Fatalf("no match for %#q on the screen:\n%s", pattern, screen)
		}
	}
}

// beside is a culvert beside the test.
type beside struct{ p *process }

func startProcess(t *testing.T, args ...string) beside {
	t.Helper()
	p := &process{name: args[0], done: make(chan struct{}), cmd: exec.Command("culvert", args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.wait()
	t.Cleanup(p.kill)
	return beside{p}
}

// match waits for a line on stderr and returns the expression's first group, if it has one.
func (b beside) match(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var m []string
	if !b.p.await(&b.p.err, func(s string) bool { m = re.FindStringSubmatch(s); return m != nil }) {
		t.Fatalf("no match for %#q: %s", pattern, b.p.describe())
	}
	return m[len(m)-1]
}

// interrupt ends it in order.
func (b beside) interrupt(t *testing.T) {
	t.Helper()
	if err := b.p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-b.p.done
	if b.p.code != 0 {
		t.Errorf("exit code %d: %s", b.p.code, b.p.describe())
	}
}
