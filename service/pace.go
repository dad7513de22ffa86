package service

import (
	"errors"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/wsconn"
)

const (
	// retryMin and retryMax bound the jittered wait between attempts to reach a daemon.
	retryMin = 50 * time.Millisecond
	retryMax = 30 * time.Second
	// answeredGrowth is how that wait grows from one attempt to the next while somebody
	// answers, such as a relay that does not have the daemon: each question costs it
	// something. While nobody does it grows as endpoint.Backoff does by itself, which is
	// gentler.
	answeredGrowth = 1.5
	// stableAfter is how long a carrier must have served not to count as a flap: what takes
	// us and throws us out at once is not stormed.
	stableAfter = 5 * time.Second
	// maxAskedWait bounds what relay and control plane can make us wait.
	maxAskedWait = 2 * time.Minute
)

// pace decides how long a client waits between attempts to reach its daemon. It is not
// for concurrent use.
type pace struct {
	backoff endpoint.Backoff
	flaps   endpoint.Backoff
	last    string // what the last attempt failed with
}

func newPace() *pace {
	return &pace{
		backoff: endpoint.Backoff{Min: retryMin, Max: retryMax},
		flaps:   endpoint.Backoff{Min: retryMin, Max: retryMax, Growth: answeredGrowth},
	}
}

// lost returns the wait after the loss of a carrier that has served for so long.
func (p *pace) lost(served time.Duration) time.Duration {
	p.last = ""
	p.backoff.Reset()
	p.backoff.Growth = 0
	if served < stableAfter {
		return p.flaps.Next()
	}
	p.flaps.Reset()
	return p.backoff.Next()
}

// failed returns the wait after an attempt that failed, and whether the last one failed
// for another reason. Another failure is a step of the way: after a relay's restart,
// "unreachable" becomes "daemon offline", and the daemon will be back in a moment.
func (p *pace) failed(e *Error) (wait time.Duration, news bool) {
	news = e.Name != p.last
	if news {
		p.last = e.Name
		p.backoff.Reset()
		p.backoff.Growth = 0
		if e.Code != CodeRelay && e.Code != CodeTLS {
			p.backoff.Growth = answeredGrowth
		}
	}
	return p.backoff.Next(), news
}

// kicked starts over: the network has changed.
func (p *pace) kicked() { p.backoff.Reset() }

// askedWait is how long the relay or the control plane that refused us wants us to wait (its
// Retry-After); 0 if it did not say.
func askedWait(err error) time.Duration {
	if de, ok := errors.AsType[*wsconn.DialError](err); ok {
		return min(de.RetryAfter, maxAskedWait)
	}
	if ae, ok := errors.AsType[*api.Error](err); ok {
		return min(ae.RetryAfter, maxAskedWait)
	}
	return 0
}
