package main

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is a culvert that a script started and that runs beside it.
type process struct {
	name     string
	cmd      *exec.Cmd
	out, err transcript
	done     chan struct{} // closed when it has ended
	code     int           // exit code; valid when done is closed
}

// transcript is what a process has written so far.
type transcript struct {
	mu      sync.Mutex
	text    []byte        // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next write
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
	return len(b), nil
}

// whole returns the whole lines so far and a channel that is closed at the next change.
func (t *transcript) whole() (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	text := string(t.text)
	return text[:strings.LastIndexByte(text, '\n')+1], t.changed
}

// await waits until match accepts what was written; false when the process has ended or
// the time is over before that.
func (p *process) await(t *transcript, match func(text string) bool) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		ended := closed(p.done)
		text, changed := t.whole()
		if match(text) {
			return true
		}
		if ended {
			return false
		}
		select {
		case <-changed:
		case <-p.done:
		case <-timer.C:
			return false
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// start runs a program in the background. With ready it gets --ready-fd, and start waits
// for the word.
func (w *world) start(ts *testscript.TestScript, name string, ready bool, args []string) *process {
	if old := w.procs[name]; old != nil && !closed(old.done) {
		ts.Fatalf("%s runs already", name)
	}
	p := &process{name: name, done: make(chan struct{})}
	var from, to *os.File
	if ready {
		var err error
		from, to, err = os.Pipe()
		ts.Check(err)
		defer from.Close()
		args = append(args, "--ready-fd", "3")
	}
	// The first culvert in the PATH is this test binary.
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Env = ts.MkAbs("."), w.environ(ts)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	// A child of the process that outlives it, and has its output, must not hang the test.
	p.cmd.WaitDelay = 5 * time.Second
	if ready {
		p.cmd.ExtraFiles = []*os.File{to}
	}
	ts.Check(p.cmd.Start())
	w.procs[name] = p
	go p.wait()
	if ready {
		_ = to.Close() // the process has its own
		ts.Check(from.SetReadDeadline(time.Now().Add(patience)))
		word := make([]byte, 16)
		if n, err := from.Read(word); string(word[:n]) != "ready\n" {
			p.kill()
			ts.Fatalf("%s: got %q, %v where it should say that it is ready", p.describe(), word[:n], err)
		}
	}
	return p
}

// wait is the process's goroutine; kill and the script's end wait for it.
func (p *process) wait() {
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		p.code = exit.ExitCode()
	} else if err != nil {
		p.code = -1
	}
	close(p.done)
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// ended waits for the end of the process.
func (p *process) ended(ts *testscript.TestScript) int {
	select {
	case <-p.done:
		return p.code
	case <-time.After(patience):
		p.kill()
		ts.Fatalf("%s did not end in %v", p.describe(), patience)
		return -1
	}
}

func (p *process) describe() string {
	out, _ := p.out.whole()
	text, _ := p.err.whole()
	return p.name + "\n[stdout]\n" + out + "[stderr]\n" + text + "[end]"
}

func (w *world) process(ts *testscript.TestScript, name string) *process {
	p := w.procs[name]
	if p == nil {
		ts.Fatalf("no process %q was started", name)
	}
	return p
}

// cmdStart is "start [-notready] NAME PROGRAM ARGS...".
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	ready := args[0] != "-notready"
	if !ready {
		args = args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start [-notready] NAME PROGRAM ARGS...")
	}
	worldOf(ts).start(ts, args[0], ready, args[1:])
}

// cmdEnd is "end NAME [CODE]": SIGINT, and the exit code that must follow (0).
func cmdEnd(ts *testscript.TestScript, _ bool, args []string) {
	p := worldOf(ts).process(ts, args[0])
	ts.Check(p.cmd.Process.Signal(os.Interrupt))
	wantExit(ts, p, args)
}

// cmdHangup is "hangup NAME": SIGHUP.
func cmdHangup(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(worldOf(ts).process(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

// cmdExited is "exited NAME CODE": it ends by itself, with the code.
func cmdExited(ts *testscript.TestScript, _ bool, args []string) {
	wantExit(ts, worldOf(ts).process(ts, args[0]), args)
}

func wantExit(ts *testscript.TestScript, p *process, args []string) {
	want := 0
	if len(args) > 1 {
		want = number(ts, args[1])
	}
	if got := p.ended(ts); got != want {
		ts.Fatalf("exit code %d, want %d: %s", got, want, p.describe())
	}
	ts.Logf("%s ended with %d", p.name, want)
}

// cmdExits is "exits CODE PROGRAM ARGS...": exec with the very exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, got := number(ts, args[0]), 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdOut is "out NAME REGEXP": waits for a line on the process's stdout. "! out" looks
// once and must not find it.
func cmdOut(ts *testscript.TestScript, neg bool, args []string) {
	p := worldOf(ts).process(ts, args[0])
	wantText(ts, p, &p.out, neg, args[1])
}

// cmdErr is "err NAME REGEXP", the same for stderr.
func cmdErr(ts *testscript.TestScript, neg bool, args []string) {
	p := worldOf(ts).process(ts, args[0])
	wantText(ts, p, &p.err, neg, args[1])
}

func wantText(ts *testscript.TestScript, p *process, t *transcript, neg bool, pattern string) {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	if neg {
		if text, _ := t.whole(); re.MatchString(text) {
			ts.Fatalf("unexpected match for %#q: %s", pattern, p.describe())
		}
		return
	}
	if !p.await(t, re.MatchString) {
		ts.Fatalf("no match for %#q: %s", pattern, p.describe())
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}
