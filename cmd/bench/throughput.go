package main

import (
	"context"
	"fmt"
	"time"
)

// throughput: MB/s and CPU-seconds per GB, 1 and 16 streams, both directions.
func (w *world) throughput(ctx context.Context, r *report) error {
	for _, streams := range []int{1, 16} {
		for _, dir := range []direction{down, up} {
			what := fmt.Sprintf("%d stream%s %s", streams, plural(streams), dir)
			if err := w.rounds(ctx, "throughput", r, func(ctx context.Context, y system, s *sample) error {
				in, err := w.on(ctx, y)
				if err != nil {
					return err
				}
				f, err := w.flow(ctx, in, dir, streams, w.o.seconds(0.5), w.o.seconds(2))
				if err != nil {
					return err
				}
				s.add(what, "MB/s", f.rate(), higherIsBetter)
				if usageKnown {
					s.add(what+", CPU", "s/GB", f.cpu.Seconds()/f.gigabytes(), lowerIsBetter)
					s.add(what+", CPU of others", "cores", f.foreign(), notCompared)
				}
				return nil
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// flow is what a transfer did in its measured part.
type flow struct {
	bytes       int64
	time        time.Duration
	cpu         time.Duration // of the system
	self        time.Duration // of the bench
	machineWide time.Duration
}

func (f flow) gigabytes() float64 { return float64(max(f.bytes, 1)) / 1e9 }
func (f flow) rate() float64      { return float64(f.bytes) / 1e6 / f.time.Seconds() }

// foreign is how many cores others kept busy meanwhile.
func (f flow) foreign() float64 {
	return max(0, (f.machineWide-f.cpu-f.self).Seconds()) / f.time.Seconds()
}

// flow transfers in so many streams: for a time that does not count, then for one that does.
func (w *world) flow(ctx context.Context, in *instance, dir direction, streams int, warm, measured time.Duration) (flow, error) {
	t, err := startTransfer(ctx, in, dir, streams)
	if err != nil {
		return flow{}, err
	}
	f, err := w.window(ctx, t, warm, measured)
	if serr := t.stop(ctx); err == nil {
		err = serr
	}
	if err == nil && f.bytes == 0 {
		err = fmt.Errorf("no byte came through in %v", f.time)
	}
	return f, err
}

// leastTime is how long a transfer has at least for its first byte: a measurement may be shorter on a machine that is busy.
const leastTime = 5 * time.Second

// window measures a part of a running transfer.
func (w *world) window(ctx context.Context, t *transfer, warm, measured time.Duration) (flow, error) {
	if err := pause(ctx, warm); err != nil {
		return flow{}, err
	}
	pids := t.in.pids()
	begin := w.reading(t, pids)
	end := begin
	for deadline := begin.at.Add(max(measured, leastTime)); end.bytes == begin.bytes && end.at.Before(deadline); {
		if err := pause(ctx, measured); err != nil {
			return flow{}, err
		}
		end = w.reading(t, pids)
	}
	return flow{
		bytes: end.bytes - begin.bytes, time: end.at.Sub(begin.at), cpu: end.cpu - begin.cpu,
		self: end.self - begin.self, machineWide: end.machine - begin.machine,
	}, nil
}

// reading is the state of all counters at one moment.
type reading struct {
	at                 time.Time
	bytes              int64
	cpu, self, machine time.Duration
}

func (w *world) reading(t *transfer, pids map[int]role) reading {
	r := reading{cpu: total(cpuOf(pids)), self: selfCPU(), machine: machineCPU()}
	r.at, r.bytes = time.Now(), t.bytes()
	return r
}

func total(m map[role]time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range m {
		sum += d
	}
	return sum
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
