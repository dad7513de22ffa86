package service

import (
	"cmp"
	"context"
	"net"
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
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return err
	}
	defer m.close()
	p := newProcess(m, cmp.Or(o.command, "forward"), sink)
	f, err := newForwarding(m, forwardingOptions{
		daemon: o.Daemon, trust: o.Trust, once: o.Once, timeout: o.Timeout, holdTime: o.HoldTime, onReady: o.Ready,
	}, p.sink)
	if err != nil {
		return err
	}
	for _, spec := range o.Forwards {
		f.add(spec, o.WhenHeldRefuse)
	}
	// What has a port of its own is bound before anything else, so that a busy port is an
	// error at once.
	defer f.close()
	for _, l := range f.list() {
		if err := l.bindFixed(); err != nil {
			return classify(err)
		}
	}
	p.set(nil, f)
	return p.run(ctx, func(ctx context.Context) error { return m.retrying(ctx, o.Retry, f.client.retryNow, f.run) })
}

// forwarding is the link to one daemon with the forwards that use it, which may change
// while it runs.
type forwarding struct {
	m       *machine
	o       forwardingOptions // but for holdTime, which mu guards
	sink    Sink
	client  *client
	changes chan func(context.Context, *errgroup.Group) // for run's own goroutine
	over    chan struct{}                               // closed when run has ended

	mu        sync.Mutex    // guards what follows
	listeners []*listener   // in the user's order
	told      bool          // onReady was called
	patient   bool          // what the user could mend is tried again instead of ending
	welcome   chan struct{} // closed at the first WELCOME
	welcomed  bool
	drop      drop
	trouble   Event  // why there is no carrier; its zero value: there is one, or nothing is known
	failed    *Error // it has ended for good
}

// forwardingOptions are those of a daemon, not of one forward.
type forwardingOptions struct {
	daemon   string
	trust    TrustFunc
	once     bool
	timeout  time.Duration
	holdTime time.Duration
	onReady  func() // called once, when every forward's target has been reached; nil is allowed
}

// newForwarding makes one without forwards; nothing runs yet.
func newForwarding(m *machine, o forwardingOptions, sink Sink) (*forwarding, error) {
	f := &forwarding{m: m, o: o, changes: make(chan func(context.Context, *errgroup.Group)), welcome: make(chan struct{}), over: make(chan struct{})}
	f.sink = func(e Event) {
		f.note(e)
		sink(e)
	}
	var err error
	f.client, err = newClient(m, clientOptions{
		daemon: o.daemon, trust: o.trust, once: o.once, timeout: o.timeout, holdTime: o.holdTime,
		sink: f.sink, onEvent: f.observe,
	})
	return f, err
}

// add appends a forward; run serves it if it is called later.
func (f *forwarding) add(spec tunnel.ForwardSpec, refuseHeld bool) *listener {
	l := newListener(f, spec, refuseHeld)
	f.mu.Lock()
	f.listeners = append(f.listeners, l)
	f.mu.Unlock()
	return l
}

func (f *forwarding) list() []*listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.listeners)
}

// close frees what was bound and never run; after run it does nothing.
func (f *forwarding) close() {
	for _, l := range f.list() {
		l.close()
	}
}

// run serves the forwards until ctx ends, which is no error.
func (f *forwarding) run(ctx context.Context) error {
	defer close(f.over)
	g, gctx := errgroup.WithContext(ctx)
	runLink(gctx, g, f.client)
	for _, l := range f.list() {
		l.start(gctx, g)
	}
	g.Go(func() error {
		for {
			select {
			case change := <-f.changes:
				change(gctx, g)
			case <-gctx.Done():
				return nil
			}
		}
	})
	err := g.Wait()
	if ctx.Err() != nil || err == nil {
		return nil
	}
	return classify(err)
}

// set replaces the forwards of a running forwarding: those that are not in the new list
// end, with their connections; those that are new there are bound, if they are not yet,
// and started; the others are not touched. It returns when that is done, or run has ended.
func (f *forwarding) set(next []*listener) {
	done := make(chan struct{})
	change := func(ctx context.Context, g *errgroup.Group) {
		defer close(done)
		before := f.list()
		f.mu.Lock()
		f.listeners = next
		f.mu.Unlock()
		for _, l := range before {
			if !slices.Contains(next, l) {
				l.end()
			}
		}
		for _, l := range next {
			if !slices.Contains(before, l) {
				l.bindLate()
				l.start(ctx, g)
			}
		}
	}
	select {
	case f.changes <- change:
		<-done
	case <-f.over:
		for _, l := range next {
			l.close()
		}
	}
}

// bePatient makes what the user could mend, such as a busy local port or a refused target,
// no reason to end: it is tried again.
func (f *forwarding) bePatient() {
	f.mu.Lock()
	f.patient = true
	f.mu.Unlock()
}

// holdTime is how long a link without a path, and what waits for it, is kept.
func (f *forwarding) holdTime() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.o.holdTime
}

// setHoldTime changes it for links and connections that begin from now on.
func (f *forwarding) setHoldTime(d time.Duration) error {
	f.mu.Lock()
	f.o.holdTime = d
	f.mu.Unlock()
	for _, l := range f.list() {
		if fw := l.forward(); fw != nil {
			fw.SetOpenTimeout(d)
		}
	}
	return f.client.link.SetHoldTime(d)
}

func (f *forwarding) isPatient() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.patient
}

// becameReady tells once when every forward is ready.
func (f *forwarding) becameReady() {
	all := !slices.ContainsFunc(f.list(), func(l *listener) bool { return !l.isReady() })
	f.mu.Lock()
	all = all && !f.told
	f.told = f.told || all
	f.mu.Unlock()
	if all && f.o.onReady != nil {
		f.o.onReady()
	}
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
	g.Go(func() error { return c.remember(ctx) })
}

// ended drops the error of a part that ended because its context did.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// note remembers of the events what status tells.
func (f *forwarding) note(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case e.Event == EventError && e.Target == "":
		f.trouble = e
	case e.Event == EventHeld, e.Event == EventLost:
		f.drop = drop{e.Time, e.Reason}
	case e.Event == EventResumed, e.Event == EventReady:
		f.trouble = Event{}
	}
}

// observe wakes what waits for the first WELCOME, and has the targets asked again on each
// new link: the daemon may be another process with other targets.
func (f *forwarding) observe(e mux.Event) {
	if isLost(e) {
		for _, l := range f.list() {
			l.lost()
		}
	}
	if e.Kind != mux.EventConnected {
		return
	}
	f.mu.Lock()
	f.trouble = Event{}
	if !f.welcomed {
		f.welcomed = true
		close(f.welcome)
	}
	f.mu.Unlock()
	for _, l := range f.list() {
		l.askAgain()
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
