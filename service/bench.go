package service

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/mux"
	"culvert/tunnel"
)

// BenchOptions say what to measure of the tunnel to one daemon.
type BenchOptions struct {
	Common
	Daemon  string
	Trust   TrustFunc     // as ForwardOptions.Trust
	For     time.Duration // how long each direction is measured, after a warm-up of a quarter of that; 0: 4 s, 30 s at most
	Limit   uint64        // bytes that may be moved each way; 0: as many as go
	Timeout time.Duration // for the way to the daemon; 0: 30 s
	// Step tells what is measured now and how it goes, several times a second; nil is allowed.
	Step func(BenchStep)
}

// BenchStep is how a measurement goes.
type BenchStep struct {
	What string  // one of the Step constants
	Rate float64 // bytes per second so far; 0: not known, or not what is measured
}

// The steps of a measurement.
const (
	StepConnect = "connecting"
	StepRelay   = "round trip to the relay"
	StepIdle    = "round trip to the daemon"
	StepDown    = "downloading"
	StepUp      = "uploading"
)

// BenchResult is what was measured.
type BenchResult struct {
	Daemon      string     `json:"daemon"`
	Fingerprint string     `json:"fingerprint"`
	Relay       string     `json:"relay"`
	RelayRTT    RoundTrips `json:"relay_rtt"` // of HTTP requests on one connection to the relay
	IdleRTT     RoundTrips `json:"idle_rtt"`  // of a stream to the daemon while nothing else is in the tunnel
	Down        Throughput `json:"down"`      // from the daemon
	Up          Throughput `json:"up"`        // to the daemon, as it counts
}

// Throughput is one direction's.
type Throughput struct {
	Bytes   uint64     `json:"bytes"`       // moved, with the warm-up
	Rate    float64    `json:"bytes_per_s"` // without the warm-up
	Seconds float64    `json:"seconds"`     // what the rate was measured over
	RTT     RoundTrips `json:"loaded_rtt"`  // of another stream meanwhile
}

const (
	benchTime    = 4 * time.Second
	maxBenchTime = 30 * time.Second
	// benchIdle is how long idle round trips are measured, and benchPause the pause between
	// two: some hundred of them, or ten on a slow path.
	benchIdle  = time.Second
	benchPause = 10 * time.Millisecond
	// benchGrace is how much longer than planned a step may take before the tunnel counts as
	// stuck.
	benchGrace = 15 * time.Second
)

// Bench measures the tunnel to a daemon, on a link of its own: round trips, then each
// direction's throughput with round trips beside it. A tunnel that breaks meanwhile ends
// it: its figures would say nothing. The daemon is this program's end of the measurement; no
// target is touched.
func Bench(ctx context.Context, o BenchOptions) (BenchResult, error) {
	o.For = cmp.Or(o.For, benchTime)
	if o.For < 0 || o.For > maxBenchTime {
		return BenchResult{}, errorf(CodeUsage, "time", "use --time 30s or less", "a direction is measured for %v at most, not %v", maxBenchTime, o.For)
	}
	if o.Step == nil {
		o.Step = func(BenchStep) {}
	}
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return BenchResult{}, err
	}
	defer m.close()
	b := &bench{o: o, broken: make(chan error, 1)}
	b.client, err = newClient(m, clientOptions{
		daemon: o.Daemon, trust: o.Trust, once: true, sink: func(Event) {}, onEvent: b.observe,
	})
	if err != nil {
		return BenchResult{}, err
	}
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(runCtx)
	runLink(gctx, g, b.client)
	var r BenchResult
	g.Go(func() error {
		defer stop() // the link has done what it was for
		var err error
		r, err = b.run(gctx)
		return err
	})
	switch err = g.Wait(); {
	case ctx.Err() != nil:
		return BenchResult{}, ctx.Err()
	case err != nil:
		return BenchResult{}, b.explain(err)
	}
	return r, nil
}

// bench is one measurement.
type bench struct {
	o      BenchOptions
	client *client
	broken chan error // one slot: why the link was lost or held
}

// observe notes that the link has broken. It is called while the link is up or not.
func (b *bench) observe(e mux.Event) {
	if e.Kind != mux.EventHeld && e.Kind != mux.EventLost {
		return
	}
	select {
	case b.broken <- e.Reason:
	default: // the first one ends it
	}
}

// interrupted is the end of a measurement whose link broke.
func (b *bench) interrupted(why error) error {
	if e := classify(why); e != nil && e.Code.Permanent() {
		return e
	}
	code := CodeRelay
	if errors.Is(why, mux.ErrPathDown) {
		code = CodeDaemon
	}
	return errorf(code, "interrupted", "try again; `culvert doctor "+b.o.Daemon+"` finds the hop that is broken",
		"the tunnel broke while it was measured: %s", reasonText(why))
}

// explain says what an older daemon and a busy one mean for a measurement.
func (b *bench) explain(err error) error {
	e := classify(err)
	st, ok := errors.AsType[*tunnel.StatusError](err)
	if !ok {
		return e
	}
	switch st.Status {
	case tunnel.StatusUnsupported:
		return errorf(CodeFailure, "unsupported", "update culvert on the daemon's machine", "the daemon's culvert is too old to be measured")
	case tunnel.StatusBusy:
		return errorf(CodeDaemon, "busy", "try again in a minute", "the daemon is busy with other measurements")
	case tunnel.StatusDenied:
		return errorf(CodeRefused, string(mux.RefuseNotAuthorized), "ask the daemon's owner to grant a target", "the daemon lets this machine reach nothing")
	}
	return e
}

// run measures step by step.
func (b *bench) run(ctx context.Context) (BenchResult, error) {
	b.o.Step(BenchStep{What: StepConnect})
	opener := boundedOpener{b.client.link, cmp.Or(b.o.Timeout, 2*dialTimeout), nil}
	if s, err := opener.Open(ctx); err != nil {
		return BenchResult{}, err
	} else if err := s.Close(); err != nil {
		return BenchResult{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer func() { cancel(nil); <-done }()
	go func() { // ends with ctx
		defer close(done)
		select {
		case why := <-b.broken:
			cancel(b.interrupted(why))
		case <-ctx.Done():
		}
	}()
	r := BenchResult{Daemon: b.o.Daemon, Fingerprint: b.client.fingerprint(), Relay: b.client.relayURL()}
	var err error
	b.o.Step(BenchStep{What: StepRelay})
	if r.RelayRTT, err = b.pingRelay(ctx, r.Relay); err != nil {
		return r, err
	}
	b.o.Step(BenchStep{What: StepIdle})
	if r.IdleRTT, err = b.ping(ctx, benchIdle); err != nil {
		return r, err
	}
	if r.Down, err = b.move(ctx, StepDown, tunnel.Download); err != nil {
		return r, err
	}
	r.Up, err = b.move(ctx, StepUp, tunnel.Upload)
	return r, err
}

// errEnough ends what was measured for long enough.
var errEnough = errors.New("measured for long enough")

// ping measures round trips for so long, and one at least.
func (b *bench) ping(ctx context.Context, length time.Duration) (RoundTrips, error) {
	pctx, stop := context.WithTimeoutCause(ctx, benchGrace, errStuck)
	defer stop()
	pctx, enough := context.WithCancelCause(pctx)
	defer enough(nil)
	var all []time.Duration
	begin := time.Now()
	err := tunnel.Ping(pctx, b.client.link, benchPause, func(rtt time.Duration) {
		all = append(all, rtt)
		if time.Since(begin) >= length {
			enough(errEnough)
		}
	})
	if errors.Is(context.Cause(pctx), errEnough) {
		err = nil
	}
	return roundTrips(all), because(ctx, err)
}

// errStuck: a step has taken much longer than planned.
var errStuck = errorf(CodeRelay, "timeout", mendRelay, "nothing came through the tunnel any more")

// because puts the reason of a context that has ended in the place of what it led to.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// move measures one direction.
func (b *bench) move(ctx context.Context, step string, run func(context.Context, tunnel.Opener, uint64, func(uint64)) error) (Throughput, error) {
	limit := b.o.Limit
	if limit == 0 || limit > tunnel.MaxMeasured {
		limit = tunnel.MaxMeasured
	}
	ctx, stop := context.WithTimeoutCause(ctx, b.o.For+b.o.For/4+benchGrace, errStuck)
	defer stop()
	mctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	meter := newMeter(b.o.For/4, b.o.For)
	var g errgroup.Group
	var rtts []time.Duration
	g.Go(func() error {
		err := tunnel.Ping(mctx, b.client.link, benchPause, func(rtt time.Duration) { rtts = append(rtts, rtt) })
		if err != nil && mctx.Err() == nil {
			enough(err)
		}
		return nil
	})
	b.o.Step(BenchStep{What: step})
	lastStep := time.Now()
	err := run(mctx, b.client.link, limit, func(total uint64) {
		now := time.Now()
		if meter.add(now, total) {
			enough(errEnough)
		}
		if now.Sub(lastStep) >= 200*time.Millisecond {
			lastStep = now
			b.o.Step(BenchStep{What: step, Rate: meter.rate()})
		}
	})
	cause := context.Cause(mctx)
	enough(errEnough)
	_ = g.Wait() // its error has ended mctx
	switch {
	case errors.Is(cause, errEnough):
		err = nil
	case cause != nil:
		err = cause
	}
	return meter.throughput(roundTrips(rtts)), err
}
