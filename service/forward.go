package service

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/mux"
	"culvert/sbrp/endpoint"
	"culvert/tunnel"
)

// Forward binds local listeners to targets of one daemon until ctx ends, which is no
// error. Listeners stay bound whatever happens to the way to the daemon; "ready" is told
// for each forward when the daemon has answered that it allows and can reach the target.
func Forward(ctx context.Context, o ForwardOptions, sink Sink) error {
	m, err := openMachine(o.Common)
	if err != nil {
		return err
	}
	defer m.close()
	f := &forwarding{o: o, sink: serial(sink), ready: make([]bool, len(o.Forwards)), probers: make([]*tunnel.Prober, len(o.Forwards)), welcome: make(chan struct{})}
	f.client, err = newClient(m, clientOptions{
		daemon: o.Daemon, trust: o.Trust, once: o.Once, timeout: o.Timeout, holdTime: o.HoldTime,
		sink: f.sink, onEvent: f.observe,
	})
	if err != nil {
		return err
	}
	return f.run(ctx)
}

// forwarding is a running `culvert forward`.
type forwarding struct {
	o      ForwardOptions
	sink   Sink
	client *client

	mu       sync.Mutex       // guards what follows
	ready    []bool           // by forward
	told     bool             // Ready was called
	probers  []*tunnel.Prober // by forward; nil until it is bound
	welcome  chan struct{}    // closed at the first WELCOME
	welcomed bool
}

func (f *forwarding) run(ctx context.Context) error {
	// What has a port of its own is bound before anything else, so that a busy port is an
	// error at once.
	forwards := make([]*tunnel.Forward, len(f.o.Forwards))
	defer func() {
		for _, fw := range forwards {
			if fw != nil {
				_ = fw.Close() // Run closes it too; a second time does no harm
			}
		}
	}()
	for i, spec := range f.o.Forwards {
		if spec.Network == tunnel.NetworkTCP && spec.Port == tunnel.TargetPort {
			continue
		}
		fw, err := f.bind(i, spec, 0)
		if err != nil {
			return classify(err)
		}
		forwards[i] = fw
	}
	g, gctx := errgroup.WithContext(ctx)
	runLink(gctx, g, f.client)
	for i, spec := range f.o.Forwards {
		g.Go(func() error { return f.serve(gctx, i, spec, forwards[i]) })
	}
	err := g.Wait()
	if ctx.Err() != nil || err == nil {
		return nil
	}
	return classify(err)
}

// runLink starts what a client's link needs: the link itself, the loop that brings up
// carriers, and the watch for a changed network. The carriers outlive the link, so that
// its end reaches the daemon.
func runLink(ctx context.Context, g *errgroup.Group, c *client) {
	pathCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stop()
		return ended(ctx, c.link.Run(ctx))
	})
	g.Go(func() error { return c.run(pathCtx) })
	g.Go(func() error { return (&endpoint.Watcher{}).Run(ctx, c.retryNow) })
}

// ended drops the error of a part that ended because its context did.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// bind makes one forward and opens its listener.
func (f *forwarding) bind(i int, spec tunnel.ForwardSpec, suggested int) (*tunnel.Forward, error) {
	fw, err := tunnel.NewForward(tunnel.ForwardConfig{
		Spec: spec, Opener: f.client.link, SuggestedPort: suggested,
		RefuseWhenHeld: f.o.WhenHeldRefuse,
		Live:           func() bool { return f.client.link.Status().State == mux.StateLive },
		OpenTimeout:    f.o.HoldTime,
		// A connection that was not ok is the news that the target has changed.
		OnRefuse: func(_ tunnel.ConnInfo, err error) { f.refused(i, err) },
		OnOpen:   func(tunnel.ConnInfo) { f.again(i, false) },
		Logger:   f.client.m.log,
	})
	if err != nil {
		return nil, &Error{Code: CodeUsage, Name: "forward", Err: err}
	}
	addr, err := fw.Bind()
	if err != nil {
		return nil, err
	}
	f.sink(Event{Time: time.Now(), Event: EventListening, Daemon: f.o.Daemon, Target: spec.Target, Addr: addrText(addr)})
	return fw, nil
}

// serve runs one forward and watches its target.
func (f *forwarding) serve(ctx context.Context, i int, spec tunnel.ForwardSpec, fw *tunnel.Forward) error {
	if fw == nil {
		var err error
		if fw, err = f.bindSuggested(ctx, i, spec); err != nil || fw == nil {
			return err
		}
		defer fw.Close()
	}
	failed := make(chan error, 1)
	prober := tunnel.NewProber(f.client.link, spec.Target, func(r tunnel.ProbeResult) {
		if err := f.probed(i, spec, fw.Addr(), r); err != nil {
			failed <- err
		}
	})
	f.mu.Lock()
	f.probers[i] = prober
	f.mu.Unlock()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(gctx, fw.Run(gctx)) })
	g.Go(func() error { return ended(gctx, prober.Run(gctx)) })
	g.Go(func() error {
		select {
		case err := <-failed:
			return err
		case <-gctx.Done():
			return nil
		}
	})
	return g.Wait()
}

// bindSuggested waits for the daemon's word on the target's port. When that port is taken
// here (the daemon may be this very machine) or not allowed, any free one will do: the
// user has not asked for a certain one.
func (f *forwarding) bindSuggested(ctx context.Context, i int, spec tunnel.ForwardSpec) (*tunnel.Forward, error) {
	select {
	case <-f.welcome:
	case <-ctx.Done():
		return nil, nil
	}
	w, _ := f.client.link.Welcome()
	port := 0
	if j := slices.IndexFunc(w.Targets, func(t mux.TargetInfo) bool { return t.Name == spec.TargetName() }); j >= 0 {
		port = w.Targets[j].Port
	}
	fw, err := f.bind(i, spec, port)
	if be, ok := errors.AsType[*tunnel.BindError](err); ok && port != 0 && be.Kind != tunnel.BindNoAddress {
		fw, err = f.bind(i, spec, 0)
	}
	if err != nil {
		return nil, classify(err)
	}
	return fw, nil
}

// probed tells what is known of a target now. The error ends the command: the daemon
// refuses, or the target is not there and the user does not want to wait.
func (f *forwarding) probed(i int, spec tunnel.ForwardSpec, addr net.Addr, r tunnel.ProbeResult) error {
	ev := Event{Time: time.Now(), Daemon: f.o.Daemon, Target: spec.Target, Addr: addrText(addr)}
	if r.Ready {
		ev.Event, ev.RTT, ev.Fingerprint = EventReady, r.RTT, f.client.fingerprint()
		f.sink(ev)
		f.markReady(i)
		return nil
	}
	se, answered := errors.AsType[*tunnel.StatusError](r.Err)
	if !answered {
		return nil // no answer is no news of the target: the link's own events tell
	}
	e := classify(se)
	ev.Event, ev.Code, ev.Message, ev.Mend = EventTargetUnavailable, r.Code(), se.Error(), e.Mend
	f.sink(ev)
	f.mu.Lock()
	f.ready[i] = false
	f.mu.Unlock()
	if f.o.Once || e.Code == CodeRefused {
		return e
	}
	return nil
}

func (f *forwarding) markReady(i int) {
	f.mu.Lock()
	f.ready[i] = true
	all := !f.told && !slices.Contains(f.ready, false)
	f.told = f.told || all
	f.mu.Unlock()
	if all && f.o.Ready != nil {
		f.o.Ready()
	}
}

// refused and again make the prober look: a connection says that the target has changed.
func (f *forwarding) refused(i int, err error) {
	if _, answered := errors.AsType[*tunnel.StatusError](err); answered {
		f.again(i, true)
	}
}

func (f *forwarding) again(i int, wasReady bool) {
	f.mu.Lock()
	prober := f.probers[i]
	look := prober != nil && f.ready[i] == wasReady
	f.mu.Unlock()
	if look {
		prober.Again()
	}
}

// observe wakes what waits for the first WELCOME, and has the targets asked again on each
// new link: the daemon may be another process with other targets.
func (f *forwarding) observe(e mux.Event) {
	if e.Kind != mux.EventConnected {
		return
	}
	f.mu.Lock()
	if !f.welcomed {
		f.welcomed = true
		close(f.welcome)
	}
	probers := slices.Clone(f.probers)
	f.mu.Unlock()
	for _, p := range probers {
		if p != nil {
			p.Again()
		}
	}
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return a.String()
}

// Stdio carries one connection to a target on In and Out until both sides have ended it.
// The first attempt must succeed: the caller (ssh, mostly) has its own retry. Once
// connected, it survives what every link survives.
func Stdio(ctx context.Context, o StdioOptions) error {
	m, err := openMachine(o.Common)
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
		opener := boundedOpener{c.link, cmp.Or(o.Timeout, 2*dialTimeout)}
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
}

func (b boundedOpener) Open(ctx context.Context) (*mux.Stream, error) {
	octx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	s, err := b.o.Open(octx)
	if err != nil && ctx.Err() == nil && octx.Err() != nil {
		return nil, errorf(CodeDaemon, "timeout", "look at `culvert expose` on the daemon's machine", "no answer from the daemon within %v: %w", b.timeout, os.ErrDeadlineExceeded)
	}
	return s, err
}
