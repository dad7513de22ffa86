package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// loadCommand is the first argument of the load run, which is a command of its own.
const loadCommand = "load"

// loadOptions are what the load run was asked for.
type loadOptions struct {
	count  int           // daemons, and sessions
	storm  int           // daemons that come back after a restart
	tls    int           // daemons and sessions of the pass with TLS
	rounds int           // of the CPU figure
	out    string        // file that takes the report; empty: standard output
	binary string        // as options.binary
	settle time.Duration // before memory is read, and between two readings of idle CPU
	unit   time.Duration // as options.unit
}

func parseLoadOptions(args []string, stderr io.Writer) (loadOptions, error) {
	var o loadOptions
	fs := flag.NewFlagSet("bench load", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.count, "n", 10_000, "`N` daemons, and as many sessions, on one relay")
	fs.IntVar(&o.storm, "storm", 0, "`N` daemons that come back after a restart (default half of -n)")
	fs.IntVar(&o.tls, "tls", 0, "`N` daemons, and as many sessions, of the pass with TLS (default a tenth of -n)")
	fs.IntVar(&o.rounds, "rounds", 3, "measure CPU per GB in N interleaved rounds")
	fs.DurationVar(&o.settle, "settle", 10*time.Second, "how long the relay is idle before its memory is read")
	fs.StringVar(&o.out, "out", "", "write the report to `FILE`")
	fs.StringVar(&o.binary, "culvert", "", "measure this `BINARY` instead of building one")
	if err := fs.Parse(args); err != nil {
		return o, errUsage
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q: the load run takes flags only", fs.Arg(0))
	}
	if o.storm == 0 {
		o.storm = max(o.count/2, 1)
	}
	if o.tls == 0 {
		o.tls = max(o.count/10, 1)
	}
	if o.count < 1 || o.storm < 1 || o.tls < 1 || o.rounds < 1 || o.settle < 0 {
		return o, errors.New("-n, --storm, --tls and --rounds are at least 1, and --settle is not negative")
	}
	if o.storm > o.count || o.tls > o.count {
		return o, errors.New("--storm and --tls are at most -n")
	}
	o.unit = time.Second
	return o, nil
}

// load is the whole command; it returns the exit code.
func load(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseLoadOptions(args, stderr)
	if err == nil {
		var r *loadReport
		if r, err = measureLoad(ctx, o, stderr); err == nil {
			err = r.save(o.out, stdout)
		}
	}
	return exitCode(ctx, err, stderr)
}

// measureLoad does the whole job.
func measureLoad(ctx context.Context, o loadOptions, log io.Writer) (_ *loadReport, err error) {
	if !usageKnown {
		return nil, errors.New("load: memory and CPU of processes cannot be read on this platform")
	}
	w := &world{
		o:   options{rounds: o.rounds, binary: o.binary, unit: o.unit},
		log: log, running: make(map[string]*instance), began: time.Now(),
	}
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
	w.site = loopbackSite()
	defer w.site.close()
	r := newLoadReport(ctx, w, o)
	if err := w.carry(ctx, r); err != nil {
		return nil, fmt.Errorf("CPU per GB: %w", err)
	}
	if r.plain, err = w.crowd(ctx, crowdPass{count: o.count, storm: o.storm, settle: o.settle}); err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	pass := crowdPass{count: o.tls, storm: min(o.storm, o.tls), settle: o.settle, tls: true}
	if r.tls, err = w.crowd(ctx, pass); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	r.took, r.load[1] = time.Since(w.began), loadAverage()
	return r, nil
}
