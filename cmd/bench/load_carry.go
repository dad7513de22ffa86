package main

import (
	"context"
	"fmt"
	"time"
)

// carryStreams is how many streams the bulk of the CPU figure has.
const carryStreams = 16

// carried is the CPU time that the process in the middle needs for a gigabyte, one value a round.
type carried struct {
	about   string
	seconds []float64 // CPU seconds per GB
	rates   []float64 // MB/s meanwhile
}

// carry measures the process in the middle of each system, next to each other in every round.
func (w *world) carry(ctx context.Context, r *loadReport) error {
	if err := w.site.serve(ctx, w); err != nil {
		return err
	}
	systems := []system{nullSystem{}, &culvertSystem{}, &culvertSystem{tls: true}}
	defer func() {
		for _, in := range w.running {
			in.stop()
		}
		clear(w.running)
	}()
	r.carried = []carried{{about: "plain TCP proxy"}, {about: "relay"}, {about: "relay with TLS to both ends"}}
	for round := range w.o.rounds {
		for i := range systems {
			k := (i + round) % len(systems)
			w.say("CPU per GB, round %d of %d: %s", round+1, w.o.rounds, systems[k].name())
			in, err := w.on(ctx, systems[k])
			if err != nil {
				return err
			}
			if err := w.carryOnce(ctx, in, &r.carried[k]); err != nil {
				return fmt.Errorf("%s: %w", systems[k].name(), err)
			}
		}
	}
	return nil
}

// carryOnce is one round of one system: half of it down, half of it up.
func (w *world) carryOnce(ctx context.Context, in *instance, c *carried) error {
	var bytes int64
	var cpu, took time.Duration
	for _, dir := range []direction{down, up} {
		t, err := startTransfer(ctx, in, dir, carryStreams)
		if err != nil {
			return err
		}
		err = func() error {
			if err := pause(ctx, w.o.seconds(0.5)); err != nil {
				return err
			}
			from, used, at := t.bytes(), relayCPU(in), time.Now()
			if err := pause(ctx, w.o.seconds(2)); err != nil {
				return err
			}
			bytes, cpu, took = bytes+t.bytes()-from, cpu+relayCPU(in)-used, took+time.Since(at)
			return nil
		}()
		if serr := t.stop(ctx); err == nil {
			err = serr
		}
		if err != nil {
			return err
		}
	}
	if bytes == 0 {
		return fmt.Errorf("no byte came through in %v", took)
	}
	c.seconds = append(c.seconds, cpu.Seconds()/float64(bytes)*1e9)
	c.rates = append(c.rates, float64(bytes)/1e6/took.Seconds())
	return nil
}

func relayCPU(in *instance) time.Duration { return cpuOf(in.pids())[relayRole] }
