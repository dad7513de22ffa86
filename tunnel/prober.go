package tunnel

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ProbeResult is what a Prober has found.
type ProbeResult struct {
	Ready bool
	RTT   time.Duration // Ready: from the question to the answer
	Err   error         // not Ready: a *StatusError when the daemon has answered, else why it was not asked
}

// Code is the word for events: "ready", a status such as "refused", or
// "unanswered" when no answer came.
func (r ProbeResult) Code() string {
	if r.Ready {
		return "ready"
	}
	if se, ok := errors.AsType[*StatusError](r.Err); ok {
		return se.Status.String()
	}
	return "unanswered"
}

// Prober finds out whether a target can be reached and tells each time when
// that has changed. It asks at the start, after each failure again with a
// growing pause (250 ms to 5 s), and, once the target was reached, not until
// Again is called: every question is a connection to the target.
type Prober struct {
	opener   Opener
	target   string
	onChange func(ProbeResult)
	again    chan struct{} // 1: one wish to ask again is as good as many
	forget   atomic.Bool
}

// NewProber makes a prober. onChange runs in Run's goroutine and must return
// soon; it is called with the first result, and then whenever Ready or Code
// differs from the last time.
func NewProber(o Opener, target string, onChange func(ProbeResult)) *Prober {
	return &Prober{opener: o, target: target, onChange: onChange, again: make(chan struct{}, 1)}
}

// Again asks the target once more, soon: when a connection to it was not ok, or
// the link is a new one. It does not block and may be called at any time.
func (p *Prober) Again() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

// Forget has the next result told even if it is the same as the last one: whoever
// listens has learned meanwhile that the last one holds no more. It does not ask. It
// may be called at any time.
func (p *Prober) Forget() { p.forget.Store(true) }

// Run asks until ctx ends and returns its cause. While the link has no path it
// waits for one: that is no result.
func (p *Prober) Run(ctx context.Context) error {
	last := ""
	pause := probeRetryMin
	for {
		select {
		case <-p.again: // this question answers it
		default:
		}
		rtt, err := Check(ctx, p.opener, p.target)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r := ProbeResult{Ready: err == nil, RTT: rtt, Err: err}
		if p.forget.Swap(false) || r.Code() != last {
			last = r.Code()
			p.onChange(r)
		}
		if r.Ready {
			pause = probeRetryMin
			select {
			case <-p.again:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		if err := p.wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, probeRetryMax)
	}
}

// wait waits for about the pause: a fifth of it is chance, so that many probers
// that lost their daemon together do not ask together. Again does not cut it
// short: programs that keep trying would turn it into no pause at all.
func (p *Prober) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause - rand.N(pause/5+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
