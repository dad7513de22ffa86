//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"culvert/service"
)

// inherited makes a descriptor that looks as if whoever started the process passed it on.
func inherited(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestReadyFD(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	fd := inherited(t, to)
	to.Close()
	r := newTestRun(t)
	r.a.calls.forward = func(_ context.Context, o service.ForwardOptions, _ service.Sink) error {
		o.Ready()
		o.Ready() // once is enough
		return nil
	}
	if r.run("forward", "laptop", "web", "--ready-fd", strconv.Itoa(fd)); r.code != 0 {
		t.Fatalf("exit code %d, stderr %q", r.code, r.stderr.String())
	}
	got, err := io.ReadAll(from) // ends because the descriptor was closed
	if string(got) != "ready\n" || err != nil {
		t.Errorf("read %q, %v; want ready and the end", got, err)
	}
}

func TestReadyFDRefused(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	defer to.Close()
	readOnly := inherited(t, from)
	defer unix.Close(readOnly)
	for fd, want := range map[int]string{
		int(to.Fd()): "not open", // close-on-exec: the process's own
		1 << 20:      "not open",
		readOnly:     "not open for writing",
	} {
		r := newTestRun(t).run("forward", "laptop", "web", "--ready-fd", strconv.Itoa(fd))
		if r.code != 2 || !strings.Contains(r.stderr.String(), want) || r.got != nil {
			t.Errorf("--ready-fd %d: exit code %d, stderr %q; want 2 and %q", fd, r.code, r.stderr.String(), want)
		}
	}
}
