package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// culvertBinary stands for the binary that is measured, in a system's binaries.
const culvertBinary = "culvert"

// world is what all measurements share.
type world struct {
	o       options
	self    string // this program
	culvert string // the binary that is measured
	dir     string
	log     io.Writer
	systems []system // those that are measured, null first
	site    *site    // loopback
	running map[string]*instance
	far     *pathWorld // nil: no figure has needed it yet
	began   time.Time
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.log, "%6.1fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// tempDir makes a directory that goes with the bench.
func (w *world) tempDir(name string) (string, error) { return os.MkdirTemp(w.dir, name+"-") }

// spawn starts a program without proxies in its environment: nothing may leave the machine.
func (w *world) spawn(p *place, r role, name string, args ...string) (*proc, error) {
	return startProc(p, r, []string{"HTTP_PROXY=", "HTTPS_PROXY=", "http_proxy=", "https_proxy="}, name, args...)
}

// build builds the binary as a release is built.
func (w *world) build(ctx context.Context) error {
	if w.o.binary != "" {
		abs, err := filepath.Abs(w.o.binary)
		w.culvert = abs
		return err
	}
	w.say("building culvert")
	w.culvert = filepath.Join(w.dir, "culvert"+exeSuffix())
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", w.culvert, "culvert/cmd/culvert")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build culvert: %w: %s", err, out)
	}
	return nil
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// startOn starts a system on a site and waits until it works.
func (w *world) startOn(ctx context.Context, y system, s *site) (*instance, error) {
	in, err := y.start(ctx, w, s)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", y.name(), err)
	}
	in.system = y.name()
	if err := in.ready(ctx); err != nil {
		in.stop()
		return nil, fmt.Errorf("start %s: %w", y.name(), err)
	}
	return in, nil
}

// on returns the instance on loopback that the figures share.
func (w *world) on(ctx context.Context, y system) (*instance, error) {
	if in := w.running[y.name()]; in != nil {
		if err := in.failed(); err != nil {
			return nil, err
		}
		return in, nil
	}
	w.say("starting %s", y.name())
	in, err := w.startOn(ctx, y, w.site)
	if err == nil {
		w.running[y.name()] = in
	}
	return in, err
}

// choose picks the systems and tells what is left out.
func (w *world) choose(r *report) {
	for _, y := range allSystems() {
		if !wanted(w.o.systems, y.name()) {
			continue
		}
		if why := y.missing(); why != "" {
			r.leaveOut("%s: %s", y.name(), why)
			continue
		}
		r.Systems = append(r.Systems, systemInfo{y.name(), y.about()})
		w.systems = append(w.systems, y)
	}
}

// measure does the whole job.
func measure(ctx context.Context, o options, log io.Writer) (_ *report, err error) {
	w := &world{o: o, log: log, running: make(map[string]*instance), began: time.Now()}
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "culvert-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(w.dir)
	if err := w.build(ctx); err != nil {
		return nil, err
	}
	r := newReport(w)
	w.choose(r)
	w.site = loopbackSite()
	defer w.site.close()
	if err := w.site.serve(ctx, w); err != nil {
		return nil, err
	}
	defer func() {
		for _, in := range w.running {
			in.stop()
		}
	}()
	defer func() {
		if w.far != nil {
			w.far.close()
		}
	}()
	for _, f := range allFigures() {
		if !wanted(o.only, f.name) {
			continue
		}
		if why := f.impossible(); why != "" {
			r.leaveOut("%s: %s", f.name, why)
			continue
		}
		if err := f.run(w, ctx, r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	r.finish()
	return r, nil
}

// rounds measures y.one for each system in each round. The first in turn rotates.
func (w *world) rounds(ctx context.Context, figure string, r *report, one func(ctx context.Context, y system, s *sample) error) error {
	var takes []system
	for _, y := range w.systems {
		if wanted(y.figures(), figure) {
			takes = append(takes, y)
		}
	}
	for round := range w.o.rounds {
		for i := range takes {
			y := takes[(i+round)%len(takes)]
			w.say("%s, round %d of %d: %s", figure, round+1, w.o.rounds, y.name())
			s := &sample{r: r, figure: figure, system: y.name(), round: round}
			if err := one(ctx, y, s); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if y.name() == "null" || y.name() == "culvert" {
					return fmt.Errorf("%s: %w", y.name(), err)
				}
				// A peer that fails is a finding and no reason to measure nothing.
				r.leaveOut("%s of %s, round %d: %s", figure, y.name(), round+1, oneLine(err))
			}
		}
	}
	return nil
}

// errorLimit is how much of a peer's failure is told.
const errorLimit = 200

// oneLine is an error for the table.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), errorLimit)]
}
