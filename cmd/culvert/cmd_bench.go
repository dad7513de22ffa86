package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newBenchCmd(a *app) *cobra.Command {
	var o service.BenchOptions
	var firstUse bool
	cmd := &cobra.Command{
		Use:   "bench DAEMON",
		Short: "Measure the tunnel to a daemon",
		Long: `Measures round trips and throughput through the real tunnel, to the daemon itself: no
target is touched, and the bytes are made up. First the round trip to the relay and to
the daemon while nothing else is in the tunnel, then each direction, with the round trips
of another connection beside it. It moves as much as goes: give --limit where that costs
money. If the tunnel breaks meanwhile, that is the result.

What else uses the machines' networks, and other forwards to the daemon, share the way
and the figures show it.`,
		Example: `  culvert bench laptop
  culvert bench laptop --limit 20MB         # each way at most, on a metered network
  culvert bench laptop --time 10s --json | jq .down.bytes_per_s`,
		Args:              words(1, 1, "say which daemon, such as laptop"),
		ValidArgsFunction: a.completeDaemon,
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.For, o.Timeout = 4*time.Second, 30*time.Second
	f.Var(span{&o.For}, "time", "how long each direction is measured, 30s at most, after a warm-up of a quarter of that")
	f.Var(byteSize{&o.Limit}, "limit", "how much may be moved each way, such as 20MB (default: as much as goes)")
	f.Var(span{&o.Timeout}, "timeout", "how long it may take to reach the daemon")
	addFirstUse(f, &firstUse)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common, o.Daemon, o.Trust, o.Step = c, args[0], a.trust(ctx, firstUse), a.benchStep
		r, err := a.calls.bench(ctx, o)
		a.print.done(benchKey)
		if err != nil {
			return err
		}
		a.printBench(r)
		return nil
	})
	return cmd
}

const benchKey = "bench"

// benchStep shows how the measurement goes.
func (a *app) benchStep(s service.BenchStep) {
	text := s.What
	if s.Rate > 0 {
		text += "   " + size(uint64(s.Rate)) + "/s"
	}
	a.print.wait(benchKey, text)
}

// printBench prints the figures: they are what was asked for.
func (a *app) printBench(r service.BenchResult) {
	a.print.object(struct {
		Time  string `json:"time"`
		Event string `json:"event"`
		service.BenchResult
	}{now(), "bench", r})
	a.print.data("relay   %s   %s", tripText(r.RelayRTT), r.Relay)
	a.print.data("idle    %s", tripText(r.IdleRTT))
	a.print.data("down    %s", throughputText(r.Down))
	a.print.data("up      %s", throughputText(r.Up))
}

func tripText(t service.RoundTrips) string {
	if t.Count == 0 {
		return "no round trip came to its end"
	}
	median, p95 := time.Duration(t.Median*float64(time.Millisecond)), time.Duration(t.P95*float64(time.Millisecond))
	return fmt.Sprintf("round trip %s, 95 %% within %s (of %d)", roundTrip(median), roundTrip(p95), t.Count)
}

func throughputText(t service.Throughput) string {
	return fmt.Sprintf("%s/s, %s; beside it: %s", size(uint64(t.Rate)), size(t.Bytes), tripText(t.RTT))
}
