package service

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/mux"
	"culvert/sbrp/endpoint"
	"culvert/tunnel"
)

const (
	// bindRetryMin and bindRetryMax bound the pause before a local address is tried again.
	bindRetryMin = 250 * time.Millisecond
	bindRetryMax = 10 * time.Second
)

// The states of a forward.
const (
	forwardBinding     = "binding"     // it waits for the target's port, or for its address to be free
	forwardWaiting     = "waiting"     // bound; the daemon has not answered yet
	forwardReady       = "ready"       // the daemon allows and can reach the target
	forwardUnavailable = "unavailable" // it does not, or cannot
	forwardFailed      = "failed"      // ended for good
)

// listener is one forward of a forwarding: a local address and the target behind it.
type listener struct {
	f          *forwarding
	spec       tunnel.ForwardSpec
	refuseHeld bool

	// Set by start, which is called once at most and never beside end.
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex      // guards what follows
	fw      *tunnel.Forward // nil until it is bound
	prober  prober          // nil until it is served
	state   string
	since   time.Time
	code    string // unavailable, binding: why
	text    string
	trouble *Error // unavailable: why, as it ends the forward
	rtt     time.Duration
	down    *time.Timer // unavailable, with a timeout: ends it
}

func newListener(f *forwarding, spec tunnel.ForwardSpec, refuseHeld bool) *listener {
	return &listener{
		f: f, spec: spec, refuseHeld: refuseHeld,
		state: forwardBinding, since: time.Now(),
	}
}

// fixed tells whether the local address is known before the daemon has been asked.
func (l *listener) fixed() bool {
	return l.spec.Network != tunnel.NetworkTCP || l.spec.Port != tunnel.TargetPort
}

// bindFixed opens the listener unless its port is the daemon's to suggest.
func (l *listener) bindFixed() error {
	if !l.fixed() {
		return nil
	}
	_, err := l.bind(0)
	return err
}

// bindLate binds what another listener's address was waited for; what is busy still is
// tried again, and told, by serve.
func (l *listener) bindLate() {
	if l.forward() == nil {
		_ = l.bindFixed() // serve tries again
	}
}

// close frees a listener that is not run.
func (l *listener) close() {
	if fw := l.forward(); fw != nil {
		_ = fw.Close() // Run closes it too; a second time does no harm
	}
}

func (l *listener) forward() *tunnel.Forward {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fw
}

// start serves the forward in g until ctx ends or end is called.
func (l *listener) start(ctx context.Context, g *errgroup.Group) {
	ctx, l.stop = context.WithCancel(ctx)
	l.done = make(chan struct{})
	g.Go(func() error {
		defer close(l.done)
		defer l.stop()
		defer l.close()
		return ended(ctx, l.serve(ctx))
	})
}

// end ends a started forward and its connections, and waits for that.
func (l *listener) end() {
	e := l.closedEvent()
	l.stop()
	<-l.done
	l.f.sink(e)
}

// abandon closes a listener that was bound and is not going to be served after all.
func (l *listener) abandon() {
	if l.forward() != nil {
		e := l.closedEvent()
		l.close()
		l.f.sink(e)
	}
}

// closedEvent is to be made while the address is known.
func (l *listener) closedEvent() Event {
	e := Event{Time: time.Now(), Event: EventClosed, Daemon: l.f.o.daemon, Target: l.spec.Target}
	if fw := l.forward(); fw != nil {
		e.Addr = addrText(fw.Addr())
	}
	return e
}

// boundPort is the local TCP port, or 0.
func (l *listener) boundPort() int {
	if fw := l.forward(); fw != nil {
		if a, ok := fw.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return 0
}

// bind makes the forward and opens its listener.
func (l *listener) bind(suggested int) (*tunnel.Forward, error) {
	link := l.f.client.link
	fw, err := tunnel.NewForward(tunnel.ForwardConfig{
		Spec: l.spec, Opener: link, SuggestedPort: suggested,
		RefuseWhenHeld: l.refuseHeld,
		Networks:       l.f.networks,
		Live:           func() bool { return link.Status().State == mux.StateLive },
		OpenTimeout:    l.f.holdTime(),
		// A connection that was not ok is the news that the target has changed.
		OnRefuse: func(_ tunnel.ConnInfo, err error) { l.refused(err) },
		OnOpen:   l.opened,
		Logger:   l.f.m.log,
	})
	if err != nil {
		return nil, &Error{Code: CodeUsage, Name: "forward", Err: err}
	}
	addr, err := fw.Bind()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.fw = fw
	l.mu.Unlock()
	l.become(forwardWaiting, "", "")
	l.f.sink(Event{Time: time.Now(), Event: EventListening, Daemon: l.f.o.daemon, Target: l.spec.Target, Addr: addrText(addr)})
	return fw, nil
}

// become changes the state.
func (l *listener) become(state, code, text string) {
	l.mu.Lock()
	if l.state != state {
		l.since = time.Now()
	}
	l.state, l.code, l.text = state, code, text
	l.mu.Unlock()
}

func (l *listener) isReady() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == forwardReady
}

// serve runs the forward and watches its target.
func (l *listener) serve(ctx context.Context) error {
	fw := l.forward()
	if fw == nil {
		var err error
		if fw, err = l.bindPatiently(ctx); err != nil || fw == nil {
			return err
		}
	}
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default: // the first one ends it
		}
	}
	prober := l.newProber(func(r tunnel.ProbeResult) {
		if err := l.probed(addrText(fw.Addr()), r); err != nil {
			fail(err)
		} else if !r.Ready {
			l.failLater(fail)
		}
	})
	defer l.reached()
	l.mu.Lock()
	l.prober = prober
	l.mu.Unlock()
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

// bindPatiently binds, and where the forwarding is patient, tries again until it can; nil
// when ctx ends before that.
func (l *listener) bindPatiently(ctx context.Context) (*tunnel.Forward, error) {
	backoff := endpoint.Backoff{Min: bindRetryMin, Max: bindRetryMax}
	for told := false; ; told = true {
		fw, err := l.bindSuggested(ctx)
		if err == nil || !l.f.isPatient() {
			return fw, err
		}
		e := classify(err)
		l.become(forwardBinding, e.Name, e.Error()) // for people
		if !told {
			l.f.sink(Event{
				Time: time.Now(), Event: EventError, Daemon: l.f.o.daemon, Target: l.spec.Target,
				Code: e.Name, Message: e.Error(), Mend: e.Mend,
			})
		}
		select {
		case <-time.After(backoff.Next()):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// bindSuggested waits for the daemon's word on the target's port, if it is the one to
// take. When that port is taken here (the daemon may be this very machine) or not allowed,
// any free one will do: the user has not asked for a certain one.
func (l *listener) bindSuggested(ctx context.Context) (*tunnel.Forward, error) {
	if l.fixed() {
		return l.bind(0)
	}
	select {
	case <-l.f.welcome:
	case <-ctx.Done():
		return nil, nil
	}
	w, _ := l.f.client.link.Welcome()
	port := 0
	if j := slices.IndexFunc(w.Targets, func(t mux.TargetInfo) bool { return t.Name == l.spec.TargetName() }); j >= 0 {
		port = w.Targets[j].Port
	}
	fw, err := l.bind(port)
	if be, ok := errors.AsType[*tunnel.BindError](err); ok && port != 0 && be.Kind != tunnel.BindNoAddress {
		fw, err = l.bind(0)
	}
	if err != nil {
		return nil, classify(err)
	}
	return fw, nil
}

// probed tells what is known of the target now. The error ends the command: the daemon
// refuses, or the target is not there and the user does not want to wait.
func (l *listener) probed(addr string, r tunnel.ProbeResult) error {
	ev := Event{Time: time.Now(), Daemon: l.f.o.daemon, Target: l.spec.Target, Addr: addr}
	if r.Ready {
		l.become(forwardReady, "", "")
		l.reached()
		l.mu.Lock()
		l.rtt = r.RTT
		l.mu.Unlock()
		ev.Event, ev.RTT, ev.Fingerprint = EventReady, r.RTT, l.f.client.fingerprint()
		l.f.sink(ev)
		l.f.becameReady()
		return nil
	}
	se, answered := errors.AsType[*tunnel.StatusError](r.Err)
	if !answered {
		return nil // no answer is no news of the target: the link's own events tell
	}
	e := classify(se)
	l.become(forwardUnavailable, r.Code(), se.Error()) // for people
	l.mu.Lock()
	l.trouble = e
	l.mu.Unlock()
	ev.Event, ev.Code, ev.Message, ev.Mend = EventTargetUnavailable, r.Code(), se.Error(), e.Mend
	l.f.sink(ev)
	if l.f.o.once || e.Code == CodeRefused && !l.f.isPatient() {
		return e
	}
	return nil
}

// refused and opened make the prober look: a connection says that the target has changed.
func (l *listener) refused(err error) {
	if _, answered := errors.AsType[*tunnel.StatusError](err); answered && l.isReady() {
		l.askAgain()
	}
}

func (l *listener) opened(tunnel.ConnInfo) {
	if !l.isReady() {
		l.askAgain()
	}
}

// lost notes that the link to the daemon has ended: what was known of the target is no
// more, and is told again once it is.
func (l *listener) lost() {
	l.mu.Lock()
	prober := l.prober
	l.mu.Unlock()
	if prober != nil {
		prober.Forget()
		l.reached()
		l.become(forwardWaiting, "", "")
	}
}

func (l *listener) askAgain() {
	l.mu.Lock()
	prober := l.prober
	l.mu.Unlock()
	if prober != nil {
		prober.Again()
	}
}
