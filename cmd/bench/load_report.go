package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/template"
	"time"
)

// loadReport is what the load run found out.
type loadReport struct {
	o          loadOptions
	at         time.Time
	took       time.Duration
	version    string    // of the source
	load       [2]string // average of the last minute, at the beginning and at the end
	carried    []carried
	plain, tls *crowd
}

func newLoadReport(ctx context.Context, w *world, o loadOptions) *loadReport {
	return &loadReport{o: o, at: w.began.UTC(), version: sourceVersion(ctx), load: [2]string{loadAverage(), ""}}
}

// sourceVersion is the commit that is measured.
func sourceVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown version" // no git, or not in a clone
	}
	return strings.TrimSpace(string(out))
}

// save writes the report.
func (r *loadReport) save(file string, stdout io.Writer) error {
	text, err := r.markdown()
	if err != nil {
		return err
	}
	if file == "" {
		_, err = io.WriteString(stdout, text)
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// growth is by how much a figure of the relay grew for each of n.
func growth(from, to usage, n int, of func(usage) int64) float64 {
	return float64(of(to)-of(from)) / float64(n)
}

func pss(u usage) int64     { return u.pss }
func stacks(u usage) int64  { return u.stacks }
func heap(u usage) int64    { return u.heap }
func kernel(u usage) int64  { return u.kernel }
func threads(u usage) int64 { return u.goroutines }

// What a peer costs.
func (c *crowd) perDaemon(of func(usage) int64) float64 {
	return growth(c.empty, c.daemons, c.count, of)
}
func (c *crowd) perSession(of func(usage) int64) float64 {
	return growth(c.before, c.sessions, c.count, of)
}

// perSocket is what the kernel holds for one end of an idle connection: both ends are on this machine.
func (c *crowd) perSocket() float64 { return c.perDaemon(kernel) / 2 }

// each is a time for one of n.
func each(d time.Duration, n int) time.Duration { return d / time.Duration(max(n, 1)) }

func (c *crowd) daemonTime() time.Duration  { return each(c.daemonCPU, c.count) }
func (c *crowd) sessionTime() time.Duration { return each(c.openCPU, c.count) }
func (c *crowd) stormTime() time.Duration   { return each(c.stormCPU, c.storm) }

// idleShare is the share of a core that one idle connection takes.
func (c *crowd) idleShare() float64 {
	return c.idleCPU.Seconds() / c.idle.Seconds() / float64(c.kept+c.count)
}

// The node that the capacity is calculated for, and what of it is used.
const (
	nodeCores  = 4
	nodeMemory = 16 << 30 // bytes
	nodeShare  = 0.5      // of memory and cores; the rest is for traffic, for the system and for a node that fails
	// backWithin is the time after a crash in which all of a node's daemons, and a session for each, are to be back.
	backWithin = time.Minute
	manyPeers  = 1_000_000
)

// capacity is how many daemons with one idle session each a node carries, by what bounds it.
type capacity struct{ memory, idle, crash int }

func (c *crowd) capacity() capacity {
	storm := float64(c.stormPeak-c.empty.pss) / float64(c.storm)
	pair := max(c.perDaemon(pss), storm) + c.perSession(pss) + 2*c.perSocket()
	return capacity{
		memory: atMost(nodeMemory * nodeShare / pair),
		idle:   atMost(nodeCores * nodeShare / (2 * c.idleShare())),
		crash:  atMost(nodeCores * backWithin.Seconds() / (c.stormTime() + c.sessionTime()).Seconds()),
	}
}

// atMost rounds down to thousands; what costs nothing measurable bounds nothing.
func atMost(n float64) int {
	if n <= 0 || n > math.MaxInt32 {
		return math.MaxInt32
	}
	if n < 1000 {
		return max(int(n), 1)
	}
	return int(n) / 1000 * 1000
}

func (c capacity) daemons() int { return min(c.memory, c.idle, c.crash) }
func (c capacity) nodes() int   { return (manyPeers + c.daemons() - 1) / c.daemons() }

// line is a row of the table: a figure of both passes.
func (r *loadReport) line(what string, of func(c *crowd) string) string {
	return fmt.Sprintf("| %s | %s | %s |\n", what, of(r.plain), of(r.tls))
}

func (r *loadReport) markdown() (string, error) {
	t, err := template.New("load").Funcs(template.FuncMap{"line": r.line}).Parse(loadText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, map[string]any{
		"Date": r.at.Format(time.DateOnly), "Version": r.version, "Took": r.took.Round(time.Second).String(),
		"Machine": fmt.Sprintf("%s/%s, %d CPUs (%s), kernel %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), kernelVersion(), runtime.Version()),
		"Command": fmt.Sprintf("bench load -n %d --storm %d --tls %d --rounds %d --settle %v", r.o.count, r.o.storm, r.o.tls, r.o.rounds, r.o.settle),
		"Load":    r.load[0] + " to " + r.load[1],
		"Crowd":   r.crowdTable(), "Carried": r.carriedTable(), "Capacity": r.capacityTable(),
		"Kept": r.plain.kept, "Count": r.plain.count, "All": r.plain.kept == r.plain.count, "Files": fileLimit(),
		"Workers": loadWorkers, "Streams": carryStreams, "Cores": nodeCores, "Memory": nodeMemory >> 30,
		"Share": int(nodeShare * 100), "Within": int(backWithin.Seconds()),
	})
	return b.String(), err
}
