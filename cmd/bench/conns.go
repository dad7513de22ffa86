package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// connections: new connections per second. Each one is opened, sends a byte, waits for it, and is closed.
func (w *world) connections(ctx context.Context, r *report) error {
	return w.rounds(ctx, "conns", r, func(ctx context.Context, y system, s *sample) error {
		in, err := w.on(ctx, y)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			what    string
			workers int
		}{{"one after the other", 1}, {"32 at once", 32}} {
			rate, err := w.connect(ctx, in, c.workers)
			if err != nil {
				return err
			}
			s.add(c.what, "1/s", rate, higherIsBetter)
		}
		return nil
	})
}

// connect opens connections for a while, each worker one after the other, and returns how many worked per second.
func (w *world) connect(ctx context.Context, in *instance, workers int) (float64, error) {
	var (
		wg     sync.WaitGroup
		n      atomic.Int64
		failed = make(chan error, workers)
		begin  = time.Now()
		limit  = w.o.seconds(1.5)
	)
	for range workers {
		wg.Go(func() {
			for time.Since(begin) < limit && ctx.Err() == nil {
				if err := once(ctx, in); err != nil {
					failed <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(n.Load()) / took.Seconds(), context.Cause(ctx)
	}
}

// once is one connection's life.
func once(ctx context.Context, in *instance) error {
	c, err := in.site.dial(ctx, in.echo)
	if err != nil {
		return err
	}
	err = roundTrip(c)
	return firstError(err, c.Close())
}
