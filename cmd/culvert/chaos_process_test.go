//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// part is one running culvert: the real binary.
type part struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	errors transcript
	done   chan struct{} // closed when it has ended

	mu      sync.Mutex // guards what follows
	told    []told
	changed chan struct{} // closed at the next event
	wanted  bool          // its end was asked for
}

// told is an event and when it was read. Its fields are those of the command line's
// contract.
type told struct {
	at          time.Time
	line        string
	Event       string
	Target      string
	Addr        string
	Relay       string
	Reason      string
	Connections int
}

// start runs the binary beside the test with --json and waits until it says on
// --ready-fd that it is ready.
func (l *lab) start(name string, env []string, args ...string) *part {
	t := l.t
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	p := &part{t: t, name: name, done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command(l.bin, append(args, "--json", "-v", "--ready-fd", "3")...)
	p.cmd.Env = append(l.environ(), env...)
	p.cmd.Stderr = &p.errors
	p.cmd.ExtraFiles = []*os.File{to}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = to.Close() // the process has its own
	go p.listen(out)
	t.Cleanup(p.end)
	if err := from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	word := make([]byte, 16)
	if n, err := from.Read(word); string(word[:n]) != "ready\n" {
		t.Fatalf("%s: got %q, %v where it should say that it is ready", name, word[:n], err)
	}
	return p
}

// listen is the process's goroutine; end waits for it.
func (p *part) listen(out io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		e := told{at: time.Now(), line: lines.Text()}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e.Event = "no event"
		}
		p.mu.Lock()
		p.told = append(p.told, e)
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // ProcessState has it
}

// end ends the process as a user does, and tells what was odd about it.
func (p *part) end() {
	if !closed(p.done) {
		p.signal(syscall.SIGINT)
		select {
		case <-p.done:
		case <-time.After(15 * time.Second):
			p.t.Errorf("%s does not end on SIGINT", p.name)
			p.signal(syscall.SIGQUIT) // its goroutines are in the log then
			<-p.done
		}
	}
	log, _ := p.errors.whole()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && !p.killed() {
		p.t.Errorf("%s ended with %d", p.name, code)
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(log, bad) {
			p.t.Errorf("%s: %s", p.name, bad)
		}
	}
	if p.t.Failed() {
		for _, e := range p.all() {
			p.t.Logf("%s %s: %s", e.at.Format("15:04:05.000"), p.name, e.line)
		}
		p.t.Logf("%s on stderr:\n%s", p.name, log)
	}
}

// kill is kill -9; it returns when the process is gone.
func (p *part) kill() {
	p.mu.Lock()
	p.wanted = true
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	<-p.done
}

func (p *part) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

func (p *part) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may have ended

// stop is kill -STOP; the test's end wakes it if nobody else does.
func (p *part) stop() {
	p.signal(syscall.SIGSTOP)
	p.t.Cleanup(p.wake)
}

// wake is kill -CONT.
func (p *part) wake() { p.signal(syscall.SIGCONT) }

// events is how many events there have been: where next begins to look.
func (p *part) events() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.told)
}

// all returns the events so far.
func (p *part) all() []told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.told)
}

// find returns the first event after the first n that fits, and a channel that is
// closed at the next one.
func (p *part) find(n int, fits func(told) bool) (told, bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.told[n:] {
		if fits(e) {
			return e, true, nil
		}
	}
	return told{}, false, p.changed
}

// next waits for an event of one of these names, among those after the first n and those
// to come.
func (p *part) next(n int, within time.Duration, names ...string) told {
	p.t.Helper()
	return p.nextThat(n, within, strings.Join(names, " or "), func(e told) bool {
		return slices.Contains(names, e.Event)
	})
}

func (p *part) nextThat(n int, within time.Duration, what string, fits func(told) bool) told {
	p.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		e, ok, changed := p.find(n, fits)
		if ok {
			return e
		}
		select {
		case <-changed:
		case <-p.done:
			if e, ok, _ := p.find(n, fits); ok {
				return e
			}
			p.t.Fatalf("%s ended without telling %s", p.name, what)
		case <-timer.C:
			p.t.Fatalf("%s has not told %s within %v", p.name, what, within)
		}
	}
}
