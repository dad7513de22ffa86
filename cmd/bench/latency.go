package main

import (
	"context"
	"fmt"
	"time"
)

// pingInterval is how often a message is sent beside a transfer.
const pingInterval = 2 * time.Millisecond

// latency: round trips idle, and beside a transfer in the same link.
func (w *world) latency(ctx context.Context, r *report) error {
	return w.rounds(ctx, "latency", r, func(ctx context.Context, y system, s *sample) error {
		in, err := w.on(ctx, y)
		if err != nil {
			return err
		}
		p, err := in.ping(ctx, w, w.o.seconds(1), 0)
		if err != nil {
			return err
		}
		s.addPings("idle", p, time.Microsecond)
		for _, dir := range []direction{down, up} {
			p, f, err := w.besides(ctx, in, dir, w.o.seconds(0.5), w.o.seconds(2), pingInterval)
			if err != nil {
				return err
			}
			s.addPings(fmt.Sprintf("beside 1 stream %s", dir), p, time.Microsecond)
			s.add(fmt.Sprintf("beside 1 stream %s, its rate", dir), "MB/s", f.rate(), higherIsBetter)
		}
		return nil
	})
}

// addPings adds p50 and p99.
func (s *sample) addPings(what string, p pings, unit time.Duration) {
	name := map[time.Duration]string{time.Microsecond: "µs", time.Millisecond: "ms"}[unit]
	s.add(what+", p50", name, float64(p.P50)/float64(unit), lowerIsBetter)
	s.add(what+", p99", name, float64(p.P99)/float64(unit), lowerIsBetter)
}

// besides measures round trips beside a full transfer of one stream, and that transfer.
func (w *world) besides(ctx context.Context, in *instance, dir direction, warm, measured, interval time.Duration) (pings, flow, error) {
	t, err := startTransfer(ctx, in, dir, 1)
	if err != nil {
		return pings{}, flow{}, err
	}
	if err = pause(ctx, warm); err != nil {
		return pings{}, flow{}, firstError(err, t.stop(ctx))
	}
	type answer struct {
		p   pings
		err error
	}
	done := make(chan answer, 1)
	go func() {
		p, err := in.ping(ctx, w, measured, interval)
		done <- answer{p, err}
	}()
	f, err := w.window(ctx, t, 0, measured)
	a := <-done // before the transfer ends: every round trip has had it beside
	return a.p, f, firstError(err, a.err, t.stop(ctx))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
