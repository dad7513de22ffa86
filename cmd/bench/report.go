package main

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what the bench prints; --json prints it as it is. Fields are only ever added.
type report struct {
	Time    time.Time    `json:"time"`
	Took    float64      `json:"took_s"`
	OS      string       `json:"os"`
	Arch    string       `json:"arch"`
	CPUs    int          `json:"cpus"`
	Kernel  string       `json:"kernel,omitempty"`
	Go      string       `json:"go"`
	Control string       `json:"tcp_congestion_control,omitempty"`
	Load    [2]string    `json:"load_average"` // of the last minute, at the beginning and at the end
	Count   int          `json:"rounds"`
	Quick   bool         `json:"quick"`
	Path    string       `json:"path,omitempty"` // what the 100 ms path is made of
	Systems []systemInfo `json:"systems"`
	LeftOut []string     `json:"left_out"`
	Rows    []*row       `json:"figures"`
	say     func(format string, args ...any)
}

type systemInfo struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// row is one figure of all systems.
type row struct {
	Figure string  `json:"figure"`
	What   string  `json:"what"`
	Unit   string  `json:"unit"`
	Better better  `json:"better,omitempty"`
	Cells  []*cell `json:"systems"`
}

// cell is one figure of one system.
type cell struct {
	System string    `json:"system"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Ratio  *float64  `json:"to_null,omitempty"` // median of the rounds' ratios
	Rounds []float64 `json:"rounds"`            // sorted
	values map[int]float64
}

func newReport(w *world) *report {
	return &report{
		Time: w.began.UTC().Truncate(time.Second), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: kernelVersion(), Control: networkSetting("ipv4/tcp_congestion_control"),
		Load: [2]string{loadAverage(), ""}, Count: w.o.rounds, Quick: w.o.quick, LeftOut: []string{}, say: w.say,
	}
}

// leaveOut notes what could not be measured, and why.
func (r *report) leaveOut(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.LeftOut = append(r.LeftOut, line)
	r.say("left out: %s", line)
}

// row finds or makes a row.
func (r *report) row(figure, what, unit string, b better) *row {
	for _, row := range r.Rows {
		if row.Figure == figure && row.What == what {
			return row
		}
	}
	r.Rows = append(r.Rows, &row{Figure: figure, What: what, Unit: unit, Better: b})
	return r.Rows[len(r.Rows)-1]
}

// finish computes medians and ratios, and puts each row's systems in the order of the table.
func (r *report) finish() {
	r.Took = time.Since(r.Time).Round(100 * time.Millisecond).Seconds()
	r.Load[1] = loadAverage()
	for _, row := range r.Rows {
		byName := make(map[string]*cell)
		for _, c := range row.Cells {
			byName[c.System] = c
		}
		null := byName["null"]
		if row.Better == notCompared {
			null = nil
		}
		row.Cells = row.Cells[:0]
		for _, s := range r.Systems {
			if c := byName[s.Name]; c != nil {
				c.settle(null)
				row.Cells = append(row.Cells, c)
			}
		}
	}
}

// table is the report for people.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s, %d CPUs, kernel %s, %s, TCP %s, load %s to %s, %d round%s in %.0f s%s\n", r.OS, r.Arch, r.CPUs, r.Kernel, r.Go,
		r.Control, r.Load[0], r.Load[1], r.Count, plural(r.Count), r.Took, map[bool]string{true: ", quick: too short for judgement"}[r.Quick])
	if r.Path != "" {
		fmt.Fprintf(&b, "100 ms path: %s\n", r.Path)
	}
	b.WriteString("\n")
	for _, s := range r.Systems {
		fmt.Fprintf(&b, "%-14s %s\n", s.Name, s.About)
	}
	for _, line := range r.LeftOut {
		fmt.Fprintf(&b, "left out: %s\n", line)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	figure := ""
	for _, row := range r.Rows {
		if row.Figure != figure {
			figure = row.Figure
			fmt.Fprintf(w, "\n%s\tsystem\tmedian\t(min to max)\tunit\tto null\n", strings.ToUpper(figure))
		}
		for i, c := range row.Cells {
			what := row.What
			if i > 0 {
				what = ""
			}
			ratio := ""
			if c.Ratio != nil {
				ratio = number(*c.Ratio) + " x"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t(%s to %s)\t%s\t%s\n", what, c.System, number(c.Median), number(c.Min), number(c.Max), row.Unit, ratio)
		}
	}
	_ = w.Flush() // into memory
	return b.String()
}

// number prints three digits that count.
func number(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
