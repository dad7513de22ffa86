package service

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/tunnel"
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
