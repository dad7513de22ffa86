package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if code, ok := runRole(os.Args[1:]); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var code int
	if len(os.Args) > 1 && os.Args[1] == loadCommand {
		code = load(ctx, os.Args[2:], os.Stdout, os.Stderr)
	} else {
		code = bench(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(code)
}

// options are what was asked for.
type options struct {
	rounds  int
	quick   bool
	json    bool
	only    []string      // figures; empty: all
	systems []string      // empty: all
	binary  string        // a culvert that is built already; empty: build one
	control string        // TCP congestion control on the path; empty: the machine's
	unit    time.Duration // what a second of measuring lasts
	streams int           // idle streams of the memory figure
}

// seconds is a measuring time of n seconds.
func (o *options) seconds(n float64) time.Duration { return time.Duration(n * float64(o.unit)) }

// pathSeconds is a measuring time on the 100 ms path. --quick shortens it less: TCP needs seconds to find its rate.
func (o *options) pathSeconds(n float64) time.Duration {
	if o.quick {
		n *= 5. / 2
	}
	return o.seconds(n)
}

// errUsage means that the flag package has said what is wrong.
var errUsage = errors.New("usage")

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var only, systems string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.rounds, "rounds", 0, "measure everything in N interleaved rounds (default 3, with --quick 1)")
	fs.BoolVar(&o.quick, "quick", false, "about a minute: short measurements, one round")
	fs.BoolVar(&o.json, "json", false, "print one JSON object instead of the table")
	fs.StringVar(&only, "only", "", "measure these `FIGURES` only, separated by commas: "+strings.Join(figureNames(), ", "))
	fs.StringVar(&systems, "systems", "", "measure these `SYSTEMS` only: "+strings.Join(systemNames(), ", "))
	fs.StringVar(&o.binary, "culvert", "", "measure this `BINARY` instead of building one")
	fs.StringVar(&o.control, "congestion", "", "TCP congestion `CONTROL` on the 100 ms path, such as cubic or bbr (default: the machine's; needs root)")
	if err := fs.Parse(args); err != nil {
		return o, errUsage
	}
	o.only, o.systems = splitList(only), splitList(systems)
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("%q: the bench takes flags only", fs.Arg(0))
	case o.rounds < 0:
		return o, fmt.Errorf("--rounds %d: at least 1", o.rounds)
	}
	if err := known("--only", o.only, figureNames()); err != nil {
		return o, err
	}
	if err := known("--systems", o.systems, systemNames()); err != nil {
		return o, err
	}
	o.unit, o.streams = time.Second, 1000
	if o.quick {
		o.unit = time.Second / 5
	}
	if o.rounds == 0 {
		o.rounds = 3
		if o.quick {
			o.rounds = 1
		}
	}
	return o, nil
}

// bench is the whole command; it returns the exit code.
func bench(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if err == nil {
		var r *report
		if r, err = measure(ctx, o, stderr); err == nil {
			err = r.write(stdout, o.json)
		}
	}
	return exitCode(ctx, err, stderr)
}

// exitCode says what went wrong, if something did.
func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "bench: interrupted; everything that was started has been ended")
		return 130
	}
	fmt.Fprintln(stderr, "bench:", err)
	return 1
}

// write prints the report.
func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := io.WriteString(w, r.table())
	return err
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// known checks names against those there are.
func known(flag string, names, all []string) error {
	for _, n := range names {
		if !slices.Contains(all, n) {
			return fmt.Errorf("%s: there is no %q; there are %s", flag, n, strings.Join(all, ", "))
		}
	}
	return nil
}

// wanted tells whether s was asked for, which everything is if nothing was named.
func wanted(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
