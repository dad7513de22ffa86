package service

import (
	"cmp"
	"context"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/mux"
	"culvert/tunnel"
)

// Stdio carries one connection to a target on In and Out until both sides have ended it.
// The first attempt must succeed: the caller (ssh, mostly) has its own retry. Once
// connected, it survives what every link survives.
func Stdio(ctx context.Context, o StdioOptions) error {
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return err
	}
	defer m.close()
	c, err := newClient(m, clientOptions{
		daemon: o.Daemon, trust: o.Trust, once: true, holdTime: o.HoldTime, sink: func(Event) {},
	})
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(runCtx)
	runLink(gctx, g, c)
	g.Go(func() error {
		defer stop() // the connection's end is the command's
		opener := boundedOpener{c.link, cmp.Or(o.Timeout, 2*dialTimeout), o.Connected}
		err := tunnel.Stdio(gctx, opener, o.Target, o.In, o.Out)
		if err != nil && gctx.Err() == nil {
			return err
		}
		return nil
	})
	err = g.Wait()
	if ctx.Err() != nil || err == nil {
		return nil
	}
	return classify(err)
}

// boundedOpener bounds the wait for the first stream.
type boundedOpener struct {
	o       tunnel.Opener
	timeout time.Duration
	opened  func() // called with each stream; nil is allowed
}

func (b boundedOpener) Open(ctx context.Context) (*mux.Stream, error) {
	octx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	s, err := b.o.Open(octx)
	if err != nil && ctx.Err() == nil && octx.Err() != nil {
		return nil, errorf(CodeDaemon, "timeout", "look at `culvert expose` on the daemon's machine", "no answer from the daemon within %v: %w", b.timeout, os.ErrDeadlineExceeded)
	}
	if err == nil && b.opened != nil {
		b.opened()
	}
	return s, err
}
