package main

import (
	"context"
	"os"
	"time"
)

// startUp: from starting the client's process, relay and daemon being up, until a byte has come back through it.
func (w *world) startUp(ctx context.Context, r *report) error {
	return w.rounds(ctx, "start", r, func(ctx context.Context, y system, s *sample) error {
		in, err := w.on(ctx, y)
		if err != nil {
			return err
		}
		in.stopRole(clientRole)
		begin := time.Now()
		if err := in.connect(ctx); err != nil {
			return err
		}
		c, err := in.dialEcho(ctx)
		if err != nil {
			return err
		}
		s.add("client to first byte", "ms", time.Since(begin).Seconds()*1e3, lowerIsBetter)
		return c.Close()
	})
}

// size: of the files that are installed on a machine that plays every part.
func (w *world) size(ctx context.Context, r *report) error {
	for _, y := range w.systems {
		var n int64
		for _, file := range y.binaries() {
			if file == culvertBinary {
				file = w.culvert
			}
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			n += info.Size()
		}
		if n > 0 && wanted(y.figures(), "size") {
			s := &sample{r: r, figure: "size", system: y.name()}
			s.add("binaries", "MB", float64(n)/1e6, notCompared)
		}
	}
	return context.Cause(ctx)
}
