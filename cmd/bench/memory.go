package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// settleTime is given to processes before their memory is read.
const settleTime = 2

// memory: of processes that have just been started: idle, for each idle stream, and the peak after bulk.
func (w *world) memory(ctx context.Context, r *report) error {
	return w.rounds(ctx, "memory", r, func(ctx context.Context, y system, s *sample) error {
		in, err := w.startOn(ctx, y, w.site)
		if err != nil {
			return err
		}
		defer in.stop()
		return w.memoryOf(ctx, in, s)
	})
}

func (w *world) memoryOf(ctx context.Context, in *instance, s *sample) error {
	pids := in.pids()
	if err := pause(ctx, w.o.seconds(settleTime)); err != nil {
		return err
	}
	idle, _ := memoryOf(pids)
	conns, err := w.idleStreams(ctx, in)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // they have served
		}
	}()
	if err != nil {
		return err
	}
	if err := pause(ctx, w.o.seconds(settleTime)); err != nil {
		return err
	}
	held, _ := memoryOf(pids)
	for _, c := range conns {
		if err := roundTrip(c); err != nil {
			return fmt.Errorf("an idle stream does not work any more: %w", err)
		}
	}
	ends := func(m map[role]int64) int64 { return m[clientRole] + m[daemonRole] }
	s.add("idle, client and daemon", "MB", float64(ends(idle))/1e6, lowerIsBetter)
	s.add("idle, relay", "MB", float64(idle[relayRole])/1e6, lowerIsBetter)
	n := float64(len(conns))
	s.add("idle stream, client and daemon", "KB", float64(ends(held)-ends(idle))/n/1e3, lowerIsBetter)
	s.add("idle stream, relay", "KB", float64(held[relayRole]-idle[relayRole])/n/1e3, lowerIsBetter)
	for _, dir := range []direction{down, up} {
		if _, err := w.flow(ctx, in, dir, 16, 0, w.o.seconds(2)); err != nil {
			return err
		}
	}
	_, peak := memoryOf(pids)
	s.add("peak, 16 streams, client and daemon", "MB", float64(ends(peak))/1e6, lowerIsBetter)
	s.add("peak, 16 streams, relay", "MB", float64(peak[relayRole])/1e6, lowerIsBetter)
	return nil
}

// idleStreams opens streams and has each carry one byte.
func (w *world) idleStreams(ctx context.Context, in *instance) (conns []net.Conn, err error) {
	for range w.o.streams {
		c, err := in.site.dial(ctx, in.echo)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		if err := roundTrip(c); err != nil {
			return conns, err
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			return conns, err
		}
	}
	return conns, nil
}
