package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"culvert/mux"
	"culvert/sbrp/endpoint"
	"culvert/tunnel"
)

const (
	// bindRetryMin and bindRetryMax bound the pause before a local address is tried again.
	bindRetryMin = 250 * time.Millisecond
	bindRetryMax = 10 * time.Second
)

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
