package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a culvert that runs on a pseudo-terminal.
type terminal struct {
	t    *testing.T
	ctrl *os.File
	cmd  *exec.Cmd
	seen string
}

// onTerminal starts culvert with a terminal as its three streams.
func onTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	ctrl, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctrl.Close() })
	// Not by Fd, after which the file would have no deadlines.
	raw, err := ctrl.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var unlock, ask error
	err = raw.Control(func(fd uintptr) {
		unlock = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		number, ask = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	})
	if err := errors.Join(err, unlock, ask); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	cmd := exec.Command("culvert", args...)
	cmd.Env = append(append(os.Environ(), "TERM=xterm"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, ctrl: ctrl, cmd: cmd}
}

// wait reads until the pattern is on the screen and returns its match.
func (c *terminal) wait(pattern string) []string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	if err := c.ctrl.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		if m := re.FindStringSubmatch(c.seen); m != nil {
			return m
		}
		n, err := c.ctrl.Read(b)
		c.seen += string(b[:n])
		if err != nil && n == 0 {
			c.t.Fatalf("%v: no match for %#q on the screen:\n%s", err, pattern, c.seen)
		}
	}
}

func (c *terminal) say(text string) {
	c.t.Helper()
	if _, err := c.ctrl.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// end reads to the end and returns the exit code.
func (c *terminal) end() int {
	c.t.Helper()
	rest, err := io.ReadAll(c.ctrl) // a terminal without a process ends with EIO
	c.seen += string(rest)
	if err != nil && !errors.Is(err, syscall.EIO) {
		c.t.Errorf("read terminal: %v", err)
	}
	err = c.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	} else if err != nil {
		c.t.Fatal(err)
	}
	return 0
}

// TestTerminal has what is different where somebody looks on: colours, a QR code, a hidden
// prompt and a question.
func TestTerminal(t *testing.T) {
	state := func(who string) []string {
		return []string{"CULVERT_STATE_DIR=" + t.TempDir() + "/" + who, "NO_COLOR="}
	}
	relayState, daemonState, clientState := state("relay"), state("daemon"), state("client")

	relay := onTerminal(t, relayState, "relay", "--listen", "127.0.0.1:0")
	url := relay.wait(`relay ready at (http://\S+) `)[1]
	create := onTerminal(t, relayState, "relay", "key", "create", "--scope", "daemon,client")
	key := create.wait(`cvk_\S+`)[0]
	if code := create.end(); code != 0 {
		t.Fatalf("relay key create: exit code %d:\n%s", code, create.seen)
	}

	for _, env := range [][]string{daemonState, clientState} {
		login := onTerminal(t, env, "login", url)
		login.wait(`API key \(not shown\): $`)
		login.say(key + "\r")
		if code := login.end(); code != 0 || strings.Contains(login.seen, key) {
			t.Fatalf("login: exit code %d, want 0 and no key on the screen:\n%s", code, login.seen)
		}
	}

	expose := onTerminal(t, daemonState, "expose", "--name", "laptop", "web=3000")
	expose.wait("\x1b\\[32m\\+\x1b\\[0m .* online as laptop")
	expose.wait("nobody may connect yet; let a client in with: culvert pair")
	pair := onTerminal(t, daemonState, "pair")
	pair.wait(`[0-9A-Z]{5}-[0-9A-Z-]{20,}`)
	if code := pair.end(); code != 0 || !regexp.MustCompile(`(?:\x1b\[97;40m[█▀▄ ]{20,}\x1b\[0m\r?\n){10}`).MatchString(pair.seen) {
		t.Errorf("pair: exit code %d, want 0 and a QR code:\n%s", code, pair.seen)
	}

	ask := onTerminal(t, clientState, "forward", "laptop", "0:web")
	ask.wait(`SHA256:[0-9A-F:]+\r\n.*Trust it\? \[y/N\] $`)
	ask.say("n\n")
	if code := ask.end(); code != 23 || !strings.Contains(ask.seen, "\x1b[31mculvert:\x1b[0m ") {
		t.Errorf("forward, not trusted: exit code %d, want 23 and the error in red:\n%s", code, ask.seen)
	}

	// Ctrl-C at a prompt ends the command and leaves the terminal as it was.
	prompt := onTerminal(t, clientState, "login", url)
	prompt.wait(`API key \(not shown\): $`)
	prompt.say("\x03")
	if code := prompt.end(); code != 1 || !strings.Contains(prompt.seen, "interrupted") {
		t.Errorf("login, Ctrl-C: exit code %d, want 1 and interrupted:\n%s", code, prompt.seen)
	}

	for _, c := range []*terminal{expose, relay} {
		c.say("\x03")
		if code := c.end(); code != 0 {
			t.Errorf("%v, Ctrl-C: exit code %d, want 0:\n%s", c.cmd.Args, code, c.seen)
		}
	}
}

// TestNoColor checks that NO_COLOR is obeyed on a terminal.
func TestNoColor(t *testing.T) {
	c := onTerminal(t, []string{"NO_COLOR=1"}, "nonsense")
	if code := c.end(); code != 2 || strings.Contains(c.seen, "\x1b") {
		t.Errorf("exit code %d, want 2 and no colour: %q", code, c.seen)
	}
}
