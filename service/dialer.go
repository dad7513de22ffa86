package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"culvert/mux"
	"culvert/tunnel"
)

// DialerOptions are those of a Go program that connects to one daemon's targets itself.
type DialerOptions struct {
	Common
	Daemon string
	// Once ends Run with an error when the first attempt fails, instead of retrying.
	Once bool
	// Timeout bounds how long the daemon may stay unreachable; 0: for ever.
	Timeout  time.Duration
	HoldTime time.Duration // how long connections live without a network; 0: 10 minutes
	// Trust decides about a daemon that is not pinned yet. nil refuses.
	Trust TrustFunc
}

// Dialer connects a Go program to the targets of one daemon, with no local port that others
// on the machine could use. All connections share one link, which survives what the link of
// a forward survives. Run keeps the link; Dial may be called from any goroutine, before Run
// as well, and waits for it.
type Dialer struct {
	o     DialerOptions
	sink  Sink
	ran   atomic.Bool
	begun chan struct{} // closed when link is set
	over  chan struct{} // closed when Run has ended, and err is set

	link *forwarding // without a forward
	err  error
}

// NewDialer checks nothing and starts nothing: that is Run's. A nil sink discards events.
func NewDialer(o DialerOptions, sink Sink) *Dialer {
	if sink == nil {
		sink = func(Event) {}
	}
	return &Dialer{o: o, sink: sink, begun: make(chan struct{}), over: make(chan struct{})}
}

// Run keeps the link to the daemon until ctx ends, which is no error, or something happens
// that cannot heal by itself, which is an [*Error]. Then connections that are still open are
// reset. It may be called once.
func (d *Dialer) Run(ctx context.Context) error {
	if !d.ran.CompareAndSwap(false, true) {
		return errorf(CodeFailure, "failure", "", "a Dialer runs once")
	}
	d.err = d.run(ctx)
	close(d.over)
	return d.err
}

func (d *Dialer) run(ctx context.Context) error {
	m, err := openMachine(ctx, d.o.Common)
	if err != nil {
		return err
	}
	defer m.close()
	p := newProcess(m, "dial", d.sink)
	d.link, err = newForwarding(m, forwardingOptions{
		daemon: d.o.Daemon, trust: d.o.Trust, once: d.o.Once, timeout: d.o.Timeout, holdTime: d.o.HoldTime,
	}, p.sink)
	if err != nil {
		return classify(err)
	}
	p.set(nil, d.link)
	close(d.begun)
	return p.run(ctx, d.link.run)
}

// Dial connects to a target, NAME or NAME/HOST:PORT for an address inside a network target.
// It waits while there is no way to the daemon, and returns when the daemon has said that the
// target is connected, ctx ends, or Run has ended. Errors are [*Error]; those of ctx are in
// their chain, with why there is no way to the daemon in their text. The connection can end
// its writing direction alone (CloseWrite), and outlives ctx.
func (d *Dialer) Dial(ctx context.Context, target string) (net.Conn, error) {
	select {
	case <-d.begun:
	case <-d.over:
		return nil, d.ended(target)
	case <-ctx.Done():
		return nil, d.interrupted(ctx, target, "")
	}
	c, err := tunnel.Connect(ctx, d.link.client.link, target)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, mux.ErrClientClosed):
		select { // Run is ending, and knows why
		case <-d.over:
			return nil, d.ended(target)
		case <-ctx.Done():
		}
	}
	if _, answered := errors.AsType[*tunnel.StatusError](err); ctx.Err() != nil && !answered {
		return nil, d.interrupted(ctx, target, d.link.why())
	}
	return nil, classify(err)
}

// DialContext is [Dialer.Dial] in the form that [net/http.Transport], database drivers and
// gRPC take: the host of the address is the target's name, and its port means nothing, so
// that http://web/ is a page of the target web.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, network) {
		return nil, errorf(CodeUsage, "network", "", "connect to %q: the network is %q, want tcp", address, network)
	}
	target, _, err := net.SplitHostPort(address)
	if err != nil {
		target = address
	}
	return d.Dial(ctx, target)
}

// ended is the error of a Dial when Run has ended: its error, if it has one.
func (d *Dialer) ended(target string) error {
	if d.err != nil {
		return d.err
	}
	return errorf(CodeFailure, "closed", "", "connect to target %q: %w", target, mux.ErrClientClosed)
}

// interrupted is the error of a Dial whose ctx has ended.
func (d *Dialer) interrupted(ctx context.Context, target, why string) error {
	err := fmt.Errorf("connect to target %q: %w", target, context.Cause(ctx))
	if why != "" {
		err = fmt.Errorf("%w: %s", err, why)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Error{Code: CodeFailure, Name: "canceled", Err: err}
	}
	return &Error{Code: CodeDaemon, Name: "timeout", Err: err}
}

// why is the reason that there is no carrier now, for people; empty if there is one or
// nothing is known yet.
func (f *forwarding) why() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble.Message
}
