package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// RunOptions start a command once its forwards are ready.
type RunOptions struct {
	ForwardOptions
	// Command is the program and its arguments. {{addr TARGET}}, {{host TARGET}} and
	// {{port TARGET}} in the arguments are replaced.
	Command []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Signals are passed on to the command; one that comes before it has started ends Run.
	// The channel is the caller's.
	Signals <-chan os.Signal
	// PassOn tells whether to pass a signal on: the command may have got it already, as it
	// does from a terminal. nil passes on all of them.
	PassOn func(os.Signal) bool
	// Starting is called before the command is: the streams are its own from now on; nil is
	// allowed.
	Starting func()
	// Started is called when the command has been started, or could not be; nil is allowed.
	Started func()
}

// Run binds the forwards, waits until every target has been reached, runs the command with
// CULVERT_ADDR_<TARGET>, CULVERT_HOST_<TARGET> and CULVERT_PORT_<TARGET> in its
// environment, and returns its exit code. An error means that the command was not run, or
// that ctx ended. A forward that fails for good while the command runs does not end it: its
// connections are reset, and sink is told.
func Run(ctx context.Context, o RunOptions, sink Sink) (exitCode int, err error) {
	r := &running{o: o, addrs: map[string]string{}}
	if err := r.check(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, failed := make(chan struct{}), make(chan error, 1)
	o.ForwardOptions.Ready, o.command = func() { close(ready) }, "run"
	var g errgroup.Group
	g.Go(func() error {
		err := Forward(ctx, o.ForwardOptions, func(e Event) {
			r.note(e)
			sink(e)
		})
		failed <- err
		return err
	})
	defer g.Wait() //nolint:errcheck // told through failed
	defer cancel()
	for {
		select {
		case <-ready:
			return r.run(ctx, failed, sink)
		case err := <-failed:
			return 0, err
		case s := <-o.Signals:
			return signalled(s), nil // nothing was started that it could be passed on to
		case <-ctx.Done():
			return 0, nil
		}
	}
}

// running is a `culvert run` with what it has learnt of its forwards.
type running struct {
	o RunOptions

	mu    sync.Mutex        // guards what follows
	addrs map[string]string // target to local address
}

// check finds what is wrong with the command before anything is set up for it.
func (r *running) check() error {
	if len(r.o.Command) == 0 {
		return errorf(CodeUsage, "command", "write it after --: culvert run laptop db -- psql", "no command to run")
	}
	if _, err := exec.LookPath(r.o.Command[0]); err != nil {
		return errorf(CodeFailure, "command", "check its name and PATH", "run the command: %w", err)
	}
	names := map[string]string{} // part of a variable's name to target
	for _, f := range r.o.Forwards {
		name := envName(f.Target)
		if other, ok := names[name]; ok {
			return errorf(CodeUsage, "forward", "forward one of them in another `culvert run`", "the targets %q and %q have the same variables, CULVERT_ADDR_%s and so on", other, f.Target, name)
		}
		names[name] = f.Target
	}
	for _, arg := range r.o.Command[1:] {
		for _, m := range placeholder.FindAllStringSubmatch(arg, -1) {
			if names[envName(m[2])] != m[2] {
				return errorf(CodeUsage, "placeholder", "use the names of this command's forwards", "the arguments name the target %q, which is not forwarded", m[2])
			}
		}
	}
	return nil
}

func (r *running) note(e Event) {
	if e.Event == EventListening {
		r.mu.Lock()
		r.addrs[e.Target] = e.Addr
		r.mu.Unlock()
	}
}

// run starts the command and waits for it.
func (r *running) run(ctx context.Context, failed <-chan error, sink Sink) (int, error) {
	args := r.expand(r.o.Command[1:])
	// Not CommandContext: a command is asked to end before it is killed, see below.
	cmd := exec.Command(r.o.Command[0], args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.o.Stdin, r.o.Stdout, r.o.Stderr
	cmd.Env = append(os.Environ(), r.environment()...)
	if r.o.Starting != nil {
		r.o.Starting()
	}
	err := cmd.Start()
	if r.o.Started != nil {
		r.o.Started()
	}
	if err != nil {
		return 0, errorf(CodeFailure, "command", "check its name and PATH", "start %s: %w", r.o.Command[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // waited for below
	signals, done := r.o.Signals, ctx.Done()
	var kill <-chan time.Time
	for {
		select {
		case err := <-ended:
			return childCode(err)
		case s := <-signals:
			if r.o.PassOn == nil || r.o.PassOn(s) {
				_ = cmd.Process.Signal(s) // it may have ended in this moment
			}
		case err := <-failed:
			failed = nil
			if err != nil {
				e := classify(err)
				sink(Event{Time: time.Now(), Event: EventError, Daemon: r.o.Daemon, Code: e.Name, Message: e.Error(), Mend: e.Mend, Final: true})
			}
		case <-done:
			done = nil
			_ = cmd.Process.Signal(os.Interrupt) // not on Windows, where kill below ends it
			kill = time.After(5 * time.Second)
		case <-kill:
			_ = cmd.Process.Kill() // it may have ended in this moment
		}
	}
}

// signalled is the exit code of a command that a signal has ended, as shells have it.
func signalled(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return int(CodeFailure)
}

// childCode is the exit code as a shell would have it: 128 and the signal's number for a
// command that a signal ended.
func childCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0, &Error{Code: CodeFailure, Name: "command", Err: fmt.Errorf("wait for the command: %w", err)}
	}
	if s := signalOf(exit.ProcessState); s > 0 {
		return 128 + s, nil
	}
	return exit.ExitCode(), nil
}

// environment is what the command learns of its forwards.
func (r *running) environment() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var env []string
	for target, addr := range r.addrs {
		name := envName(target)
		host, port := splitAddr(addr)
		env = append(env, "CULVERT_ADDR_"+name+"="+addr, "CULVERT_HOST_"+name+"="+host, "CULVERT_PORT_"+name+"="+port)
	}
	slices.Sort(env)
	return env
}

// envName is a target's name as part of a variable's: upper case, and _ for whatever a
// shell does not take there.
func envName(target string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}, target)
}

// splitAddr gives host and port; for a Unix socket the host is its path, and there is no
// port.
func splitAddr(addr string) (host, port string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return path, ""
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, ""
	}
	return host, port
}

var placeholder = regexp.MustCompile(`\{\{\s*(addr|host|port)\s+([^\s{}]+)\s*\}\}`)

// expand replaces the placeholders in the command's arguments, whose targets check has seen.
func (r *running) expand(args []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = placeholder.ReplaceAllStringFunc(arg, func(m string) string {
			part := placeholder.FindStringSubmatch(m)
			addr := r.addrs[part[2]]
			host, port := splitAddr(addr)
			switch part[1] {
			case "host":
				return host
			case "port":
				return port
			}
			return addr
		})
	}
	return out
}
