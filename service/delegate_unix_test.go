//go:build unix

package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serveCommands serves the admin API of a process with commands and returns its socket, and
// how to end it, which happens at the test's end too.
func serveCommands(t *testing.T, f CommandFunc) (socket string, stop func()) {
	t.Helper()
	dir := testDir(t, filepath.Join(t.TempDir(), "state"))
	p := newProcess(&machine{dir: dir, log: logger(nil), command: f}, "up", func(Event) {})
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- p.run(ctx, func(ctx context.Context) error {
			close(started)
			<-ctx.Done()
			return nil
		})
	}()
	<-started
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "the process's end", done); err != nil {
			t.Errorf("process: %v", err)
		}
	})
	sockets, err := adminSockets(dir.Path())
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets %v, %v; want one", sockets, err)
	}
	return sockets[0], cancel
}

func TestCommand(t *testing.T) {
	socket, _ := serveCommands(t, func(_ context.Context, words []string, stdout, stderr io.Writer) int {
		fmt.Fprint(stdout, strings.Join(words, "+"))
		fmt.Fprint(stderr, "careful\n")
		fmt.Fprint(stdout, "\xff\x00\n")
		return 23
	})
	var stdout, stderr bytes.Buffer
	code, err := askCommand(t.Context(), socket, []string{"grant", "a b", "--targets=web"}, &stdout, &stderr)
	if code != 23 || err != nil || stdout.String() != "grant+a b+--targets=web\xff\x00\n" || stderr.String() != "careful\n" {
		t.Errorf("exit code %d, %v, stdout %q, stderr %q", code, err, stdout.String(), stderr.String())
	}
	if _, err := askCommand(t.Context(), socket, []string{strings.Repeat("x", maxWords)}, io.Discard, io.Discard); err == nil {
		t.Error("a command line that is too long is carried out")
	}
	if _, err := askCommand(t.Context(), socket+"x", nil, io.Discard, io.Discard); CodeOf(err) != CodeFailure {
		t.Errorf("no socket: %v", err)
	}
}

// A command ends when whoever asked for it has gone, and when the process ends.
func TestCommandEnds(t *testing.T) {
	ended := make(chan error, 2)
	socket, stop := serveCommands(t, func(ctx context.Context, _ []string, stdout, _ io.Writer) int {
		fmt.Fprintln(stdout, "began")
		<-ctx.Done()
		ended <- nil
		return 0
	})
	ask := func(ctx context.Context) <-chan error {
		began, asked := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := askCommand(ctx, socket, nil, pieceWriter(func([]byte) { close(began) }), io.Discard)
			asked <- err
		}()
		receive(t, "the command's begin", began)
		return asked
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := ask(ctx)
	cancel()
	if err := receive(t, "the answer", asked); err == nil {
		t.Error("a command that was given up has an answer")
	}
	if err := receive(t, "the command's end", ended); err != nil {
		t.Error(err)
	}
	second := ask(context.WithoutCancel(t.Context()))
	stop()
	if err := receive(t, "the second command's end", ended); err != nil {
		t.Error(err)
	}
	<-second // an error, or the exit code, if that was faster than the end of the connection
}

// An older process takes no commands.
func TestCommandUnknown(t *testing.T) {
	socket, _ := serveCommands(t, nil)
	if _, err := askCommand(t.Context(), socket, []string{"clients"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("%v, want that it is older", err)
	}
}

// TestSharedDir: the directory for the group counts only where the superuser alone can have
// made it for this service.
func TestSharedDir(t *testing.T) {
	states, sockets := t.TempDir(), t.TempDir()
	state, in := filepath.Join(states, "culvert"), filepath.Join(sockets, "culvert")
	for _, dir := range []string{state, in} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for mode, want := range map[os.FileMode]bool{0o750: true, 0o700: false, 0o770: false, 0o755: false, 0o751: false} {
		if err := os.Chmod(in, mode); err != nil {
			t.Fatal(err)
		}
		if got, ok := sharedDir(state, states, sockets); ok != want || ok && got != in {
			t.Errorf("mode %o: %q, %t; want %t", mode, got, ok, want)
		}
	}
	if err := os.Chmod(in, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, ok := sharedDir(filepath.Join(state, "deeper"), states, sockets); ok {
		t.Error("a directory that is not directly below has one")
	}
	if os.Geteuid() != 0 {
		return // the nspawn test has other users
	}
	if err := os.Chown(in, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, ok := sharedDir(state, states, sockets); ok {
		t.Error("another user's directory is taken")
	}
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if foreign, name := foreignDir(state); !foreign || name == "" {
		t.Errorf("foreign %t, of %q", foreign, name)
	}
}
