package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

func kilobytes(v float64) string { return number(v/1e3) + " KB" }
func megabytes(v int64) string   { return number(float64(v)/1e6) + " MB" }
func milliseconds(d time.Duration) string {
	return number(float64(d)/float64(time.Millisecond)) + " ms"
}
func seconds(d time.Duration) string { return number(d.Seconds()) + " s" }

// perSecond is a rate.
func perSecond(n int, d time.Duration) string { return number(float64(n)/d.Seconds()) + "/s" }

func (r *loadReport) crowdTable() string {
	var b strings.Builder
	add := func(what string, of func(c *crowd) string) { b.WriteString(r.line(what, of)) }
	b.WriteString("| figure | plain HTTP | TLS |\n| :-- | --: | --: |\n")
	add("daemons, and sessions", func(c *crowd) string { return fmt.Sprint(c.count) })
	add("relay without peers", func(c *crowd) string { return megabytes(c.empty.pss) })
	add("relay with the daemons", func(c *crowd) string { return megabytes(c.daemons.pss) })
	add("relay with daemons and sessions", func(c *crowd) string { return megabytes(c.sessions.pss) })
	add("**memory per idle daemon**", func(c *crowd) string { return kilobytes(c.perDaemon(pss)) })
	add("of it heap, with garbage / goroutine stacks", func(c *crowd) string {
		return kilobytes(c.perDaemon(heap)) + " / " + kilobytes(c.perDaemon(stacks))
	})
	add("**memory per idle session**", func(c *crowd) string { return kilobytes(c.perSession(pss)) })
	add("of it heap, with garbage / goroutine stacks", func(c *crowd) string {
		return kilobytes(c.perSession(heap)) + " / " + kilobytes(c.perSession(stacks))
	})
	add("goroutines per daemon / per session", func(c *crowd) string {
		return number(c.perDaemon(threads)) + " / " + number(c.perSession(threads))
	})
	add("kernel memory per connection, one end, besides", func(c *crowd) string { return kilobytes(c.perSocket()) })
	add("daemons registered and connected", func(c *crowd) string { return perSecond(c.count, c.register) })
	add("relay CPU for one", func(c *crowd) string { return milliseconds(c.daemonTime()) })
	add("**sessions set up**", func(c *crowd) string { return number(float64(c.count)/c.opened.Seconds) + "/s" })
	add("one takes, median / 99th percentile", func(c *crowd) string { return number(c.opened.P50) + " / " + number(c.opened.P99) + " ms" })
	add("relay CPU for one", func(c *crowd) string { return milliseconds(c.sessionTime()) })
	add("so a core of relay sets up", func(c *crowd) string {
		return number(1/math.Max(c.sessionTime().Seconds(), 1e-6)) + "/s"
	})
	add("CPU while all are idle", func(c *crowd) string { return number(100*c.idleCPU.Seconds()/c.idle.Seconds()) + " % of a core" })
	add("daemons in the reconnect storm", func(c *crowd) string { return fmt.Sprint(c.storm) })
	add("relay away until the last of them knew", func(c *crowd) string { return seconds(c.down) })
	add("from its start until it listened", func(c *crowd) string { return seconds(c.serving) })
	add("**from its start until all were back**", func(c *crowd) string { return seconds(c.back) })
	add("relay CPU for one", func(c *crowd) string { return milliseconds(c.stormTime()) })
	add("**peak memory of the storm**", func(c *crowd) string { return megabytes(c.stormPeak) })
	add("memory when it was over", func(c *crowd) string { return megabytes(c.calm.pss) })
	return b.String()
}

func (r *loadReport) carriedTable() string {
	var b strings.Builder
	b.WriteString("| process in the middle | CPU per GB | (min to max) | to the proxy | at |\n| :-- | --: | --: | --: | --: |\n")
	for _, c := range r.carried {
		var ratios []float64 // round by round: load of others meets both
		for i, v := range c.seconds {
			ratios = append(ratios, v/max(r.carried[0].seconds[i], 1e-9))
		}
		fmt.Fprintf(&b, "| %s | %s s | %s to %s | %s x | %s MB/s |\n", c.about, number(median(slices.Clone(c.seconds))),
			number(slices.Min(c.seconds)), number(slices.Max(c.seconds)), number(median(ratios)), number(median(slices.Clone(c.rates))))
	}
	return b.String()
}

func (r *loadReport) capacityTable() string {
	var b strings.Builder
	b.WriteString("| a node carries, with one idle session for each daemon | TLS by a proxy in front | TLS |\n| :-- | --: | --: |\n")
	add := func(what string, of func(c capacity) int) {
		b.WriteString(r.line(what, func(c *crowd) string {
			if n := of(c.capacity()); n < math.MaxInt32 {
				return fmt.Sprint(n)
			}
			return "no bound measured"
		}))
	}
	add("daemons, by memory", func(c capacity) int { return c.memory })
	add("daemons, by CPU while idle", func(c capacity) int { return c.idle })
	add("daemons, by CPU after a crash", func(c capacity) int { return c.crash })
	add("**so daemons**", capacity.daemons)
	add("**nodes for a million daemons**", capacity.nodes)
	return b.String()
}
