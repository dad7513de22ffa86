package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// stopTime is how long a process has to end when it is asked to, before it is killed.
const stopTime = 3 * time.Second

// proc is a process that the bench has started. It must be stopped.
type proc struct {
	role  role
	cmd   *exec.Cmd
	stdin io.WriteCloser // its end ends hidden roles
	out   text
	err   text
	done  chan struct{} // closed when it has ended
}

// text is what a process has written so far.
type text struct {
	mu      sync.Mutex
	b       []byte        // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next write
}

// textLimit bounds what is kept: the beginning of it.
const textLimit = 1 << 20

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), textLimit-len(t.b))]...)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
	return len(p), nil
}

// whole returns the whole lines so far, and a channel that is closed when there is more.
func (t *text) whole() ([]string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	lines := strings.Split(string(t.b), "\n")
	return lines[:len(lines)-1], t.changed
}

// startProc starts a program on a machine, in a process group of its own so that a ^C on the
// terminal reaches the bench alone, which then ends it.
func startProc(p *place, r role, env []string, name string, args ...string) (*proc, error) {
	c := &proc{role: r, done: make(chan struct{})}
	c.cmd = exec.Command(name, args...)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	// GOTRACEBACK=crash leaves culvert's memory to be read, which counting it needs where the bench is not root.
	c.cmd.Env = append(append(os.Environ(), "GOTRACEBACK=crash"), env...)
	c.cmd.WaitDelay = stopTime // a child of it may hold the pipes
	ownGroup(c.cmd)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	if err := p.enter(c.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go c.wait()
	return c, nil
}

// wait is the process's goroutine; stop waits for it.
func (p *proc) wait() {
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.done)
}

func (p *proc) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process and its children, and waits.
func (p *proc) stop() {
	_ = p.stdin.Close() // it may have ended
	if !p.over() {
		endGroup(p.cmd)
	}
	select {
	case <-p.done:
	case <-time.After(stopTime):
	}
	killGroup(p.cmd) // what is left of the group
	<-p.done
}

// lines waits until the process has printed n lines.
func (p *proc) lines(ctx context.Context, n int) ([]string, error) {
	var found []string
	err := p.await(ctx, func(lines []string) bool { found = lines; return len(lines) >= n })
	return found, err
}

// await waits until match accepts the lines printed so far.
func (p *proc) await(ctx context.Context, match func(lines []string) bool) error {
	return p.awaitFor(ctx, startTime, match)
}

// awaitFor is await with a time limit of its own.
func (p *proc) awaitFor(ctx context.Context, limit time.Duration, match func(lines []string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		over := p.over()
		lines, changed := p.out.whole()
		if match(lines) {
			return nil
		}
		if over {
			return fmt.Errorf("%s has ended: %s", p.cmd.Path, p.lastWords())
		}
		select {
		case <-changed:
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; it said: %s", p.cmd.Path, context.Cause(ctx), p.lastWords())
		}
	}
}

// lastWords is the end of what the process wrote to stderr.
func (p *proc) lastWords() string {
	p.err.mu.Lock()
	defer p.err.mu.Unlock()
	return strings.TrimSpace(string(p.err.b[max(0, len(p.err.b)-600):]))
}

// run runs a program to its end and returns what it printed.
func run(ctx context.Context, p *place, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), env...)
	err := p.enter(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
