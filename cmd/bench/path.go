package main

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

const (
	pathDelay = 25 * time.Millisecond // each way on each leg: 100 ms there and back
	// pathPing is how often a message is sent beside a transfer: many are on their way at a time.
	pathPing   = 10 * time.Millisecond
	lossChance = 0.001 // of each packet on each leg, each way
	darkTime   = 5 * time.Second
)

// pathWorld is the 100 ms path and what runs on it.
type pathWorld struct {
	site    *site
	set     func(conditions) error
	running map[string]*instance
}

// openPath makes the path when it is first needed.
func (w *world) openPath(ctx context.Context, r *report) error {
	if w.far != nil {
		return nil
	}
	p := &pathWorld{running: make(map[string]*instance)}
	if why := networkMissing(); why == "" {
		w.say("making network namespaces for the path")
		s, set, err := networkSite(ctx, w.o.control)
		if err != nil {
			return err
		}
		p.site, p.set = s, set
		r.Path = "network namespaces, packets carried by the bench, TCP " + cmp.Or(w.o.control, r.Control)
	} else {
		s, set := shapedSite()
		p.site, p.set = s, func(c conditions) error { set(c); return nil }
		r.Path = "proxies in the bench (no network namespaces: " + why + ")"
	}
	w.far = p
	return p.site.serve(ctx, w)
}

func (p *pathWorld) close() {
	p.stopAll()
	p.site.close()
}

func (p *pathWorld) stopAll() {
	for _, in := range p.running {
		in.stop()
	}
	clear(p.running)
}

// onPath returns a system's instance on the path.
func (w *world) onPath(ctx context.Context, y system) (*instance, error) {
	if in := w.far.running[y.name()]; in != nil {
		return in, in.failed()
	}
	w.say("starting %s on the path", y.name())
	in, err := w.startOn(ctx, y, w.far.site)
	if err == nil {
		w.far.running[y.name()] = in
	}
	return in, err
}

// path: a 100 ms path at two rates: one stream, and the round trip beside it.
func (w *world) path(ctx context.Context, r *report) error {
	if err := w.openPath(ctx, r); err != nil {
		return err
	}
	rates := []int{200, 1000}
	if w.o.quick {
		rates = rates[:1] // these measurements are the longest
	}
	for _, mbit := range rates {
		// What TCP has learnt of one rate must not be carried to the next: a link lives long, and null's connections do not.
		w.far.stopAll()
		if err := w.far.set(conditions{rate: float64(mbit) * 1e6, delay: pathDelay}); err != nil {
			return err
		}
		if err := w.rounds(ctx, "path", r, func(ctx context.Context, y system, s *sample) error {
			in, err := w.onPath(ctx, y)
			if err != nil {
				return err
			}
			return w.pathOf(ctx, in, s, mbit)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) pathOf(ctx context.Context, in *instance, s *sample, mbit int) error {
	p, err := in.ping(ctx, w, w.o.pathSeconds(1.5), pathPing)
	if err != nil {
		return err
	}
	s.addPings(fmt.Sprintf("%d Mbit/s idle", mbit), p, time.Millisecond)
	for _, dir := range []direction{down, up} {
		what := fmt.Sprintf("%d Mbit/s, 1 stream %s", mbit, dir)
		p, f, err := w.besides(ctx, in, dir, w.o.pathSeconds(3), w.o.pathSeconds(5), pathPing)
		if err != nil {
			return err
		}
		s.add(what, "MB/s", f.rate(), higherIsBetter)
		s.add(what+", share of the path", "", f.rate()*8/float64(mbit), notCompared)
		s.addPings(fmt.Sprintf("%d Mbit/s beside 1 stream %s", mbit, dir), p, time.Millisecond)
		if w.o.quick {
			return nil
		}
	}
	return nil
}

// loss: the same path at 200 Mbit/s, on which packets get lost.
func (w *world) loss(ctx context.Context, r *report) error {
	if err := w.openPath(ctx, r); err != nil {
		return err
	}
	clean := conditions{rate: 200e6, delay: pathDelay}
	lossy := clean
	lossy.loss = lossChance
	return w.rounds(ctx, "loss", r, func(ctx context.Context, y system, s *sample) error {
		if err := w.far.set(clean); err != nil {
			return err
		}
		in, err := w.onPath(ctx, y)
		if err != nil {
			return err
		}
		if err := w.far.set(lossy); err != nil {
			return err
		}
		f, err := w.flow(ctx, in, down, 1, w.o.pathSeconds(3), w.o.pathSeconds(7))
		if err := firstError(err, w.far.set(clean)); err != nil {
			return err
		}
		s.add("0.1 %, 200 Mbit/s, 1 stream down", "MB/s", f.rate(), higherIsBetter)
		return nil
	})
}

// blackout: nothing passes for five seconds; how long after it bytes come again.
func (w *world) blackout(ctx context.Context, r *report) error {
	if err := w.openPath(ctx, r); err != nil {
		return err
	}
	return w.rounds(ctx, "blackout", r, func(ctx context.Context, y system, s *sample) error {
		clean := conditions{rate: 200e6, delay: pathDelay}
		if err := w.far.set(clean); err != nil {
			return err
		}
		in, err := w.onPath(ctx, y)
		if err != nil {
			return err
		}
		t, err := startTransfer(ctx, in, down, 1)
		if err != nil {
			return err
		}
		took, err := w.goDark(ctx, t, clean)
		if err := firstError(err, w.far.set(clean), t.stop(ctx)); err != nil {
			return err
		}
		s.add(fmt.Sprintf("%v, then flowing after", w.dark()), "s", took.Seconds(), lowerIsBetter)
		return nil
	})
}

// dark is how long nothing passes: a blackout is not shortened, but in the bench's own test.
func (w *world) dark() time.Duration { return min(darkTime, w.o.pathSeconds(10)) }

// goDark lets nothing pass for a while and measures how long after that the transfer flows again.
func (w *world) goDark(ctx context.Context, t *transfer, clean conditions) (time.Duration, error) {
	if err := pause(ctx, w.o.pathSeconds(2)); err != nil {
		return 0, err
	}
	dark := clean
	dark.dark = true
	if err := w.far.set(dark); err != nil {
		return 0, err
	}
	if err := pause(ctx, w.dark()); err != nil {
		return 0, err
	}
	before, begin := t.bytes(), time.Now()
	if err := w.far.set(clean); err != nil {
		return 0, err
	}
	for t.bytes() < before+bulkBuffer {
		if t.broken.Load() > 0 || time.Since(begin) > startTime {
			return 0, fmt.Errorf("nothing came after the blackout for %v", time.Since(begin).Round(time.Second))
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}
