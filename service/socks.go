package service

import (
	"context"
	"sync/atomic"

	"culvert/mux"
	"culvert/tunnel"
)

// prober finds out whether a forward can be used, and tells when that changes.
type prober interface {
	Again()
	Forget()
	Run(ctx context.Context) error
}

// newProber makes the prober of a forward.
func (l *listener) newProber(onChange func(tunnel.ProbeResult)) prober {
	if l.spec.SOCKS {
		return &networkProber{f: l.f, onChange: onChange, again: make(chan struct{}, 1)}
	}
	return tunnel.NewProber(l.f.client.link, l.spec.Target, onChange)
}

// networkProber watches for a SOCKS proxy whether the daemon allows any network to this
// client: there is no address yet to try.
type networkProber struct {
	f        *forwarding
	onChange func(tunnel.ProbeResult)
	again    chan struct{} // one slot: a look is as good as many
	forget   atomic.Bool
}

// Again looks once more: the link is a new one.
func (p *networkProber) Again() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

// Forget has the next look told even if nothing has changed.
func (p *networkProber) Forget() { p.forget.Store(true) }

// Run looks at each WELCOME until ctx ends.
func (p *networkProber) Run(ctx context.Context) error {
	select {
	case <-p.f.welcome:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for last := ""; ; {
		r := tunnel.ProbeResult{Ready: len(p.f.networks()) > 0, RTT: p.f.client.link.Status().RTT}
		if !r.Ready {
			r.Err = &tunnel.StatusError{
				Target: tunnel.SOCKSTarget, Status: tunnel.StatusUnknownTarget,
				Text: "the daemon exposes no network to this client, such as lan=10.0.0.0/8:*",
			}
		}
		if p.forget.Swap(false) || r.Code() != last {
			last = r.Code()
			p.onChange(r)
		}
		select {
		case <-p.again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// networks names the network targets of the last WELCOME.
func (f *forwarding) networks() []string {
	w, _ := f.client.link.Welcome()
	return namesOfKind(w.Targets, tunnel.NetworkCIDR)
}

func namesOfKind(targets []mux.TargetInfo, kind string) []string {
	var names []string
	for _, t := range targets {
		if t.Kind == kind {
			names = append(names, t.Name)
		}
	}
	return names
}
