//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"culvert/service"
)

// TestSignal checks the outcome of a signal: order for what runs until then, a failure for
// what was to end by itself.
func TestSignal(t *testing.T) {
	term := func(ctx context.Context) error {
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		if err := self.Signal(os.Interrupt); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
			return errors.New("the signal did not end the context")
		}
	}
	r := newTestRun(t)
	r.a.calls.forward = func(ctx context.Context, _ service.ForwardOptions, _ service.Sink) error { return term(ctx) }
	if r.run("forward", "laptop", "web"); r.code != 0 || r.stderr.Len() > 0 {
		t.Errorf("forward: exit code %d, stderr %q; want 0 and nothing", r.code, r.stderr.String())
	}
	r = newTestRun(t)
	r.a.calls.daemons = func(ctx context.Context, _ service.Common) ([]service.DaemonRow, error) { return nil, term(ctx) }
	if r.run("daemons"); r.code != 1 || r.stderr.String() != "culvert: interrupted\n" {
		t.Errorf("daemons: exit code %d, stderr %q; want 1 and interrupted", r.code, r.stderr.String())
	}
	r = newTestRun(t)
	r.a.calls.expose = func(ctx context.Context, _ service.ExposeOptions, _ service.Sink) error {
		_ = term(ctx)
		return &service.Error{Code: service.CodeConfig, Err: errors.New("no room to save")}
	}
	if r.run("expose", "web=3000"); r.code != 10 {
		t.Errorf("expose: exit code %d, want 10: what went wrong while ending counts", r.code)
	}
}
