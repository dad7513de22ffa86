package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newDemoCmd(a *app) *cobra.Command {
	var o service.DemoOptions
	var fd readyFD
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run every part in one process and show a page through the tunnel",
		Long: `Starts relay, control plane, daemon and client with a sample web page in one process
on loopback, with a state directory that is removed again, and prints the URL at which
the page is seen through the tunnel.`,
		Example: `  culvert demo
  culvert demo --once    # fetch the page through the tunnel, check it, end`,
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.BoolVar(&o.Once, "once", false, "fetch the page through the tunnel, check it, print the times and end")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "local `ADDR` at which the page is shown")
	fd.add(cmd)
	demo := func(ctx context.Context, _ []string) error {
		if err := fd.open(); err != nil {
			return err
		}
		o.Program, o.Logger = program(), a.logger()
		a.print.wait(askingKey, "starting relay, daemon and client")
		o.Ready = func(d service.DemoInfo) {
			a.print.done(askingKey)
			a.printDemo(d, o.Once)
			fd.ready()
		}
		return a.calls.demo(ctx, o, a.print.event)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Once {
			return a.run(demo)(cmd, args)
		}
		return a.runEndless(demo)(cmd, args)
	}
	return cmd
}

// demoLine is the JSON line of a demo that is ready.
type demoLine struct {
	Time        string     `json:"time"`
	Event       string     `json:"event"`
	URL         string     `json:"url"`
	DirectURL   string     `json:"direct_url"`
	Relay       string     `json:"relay"`
	Fingerprint string     `json:"fingerprint"`
	Started     float64    `json:"started_ms"`
	Fetched     *fetchLine `json:"fetched,omitempty"`
}

type fetchLine struct {
	Bytes     int     `json:"bytes"`
	SHA256    string  `json:"sha256"`
	FirstByte float64 `json:"first_byte_ms"`
	Total     float64 `json:"total_ms"`
}

func (a *app) printDemo(d service.DemoInfo, once bool) {
	line := demoLine{
		Time: now(), Event: "demo", URL: d.URL, DirectURL: d.DirectURL, Relay: d.Relay,
		Fingerprint: d.Fingerprint.String(), Started: ms(d.Started),
	}
	a.print.note("relay    %s (it sees ciphertext only)", d.Relay)
	a.print.note("daemon   %s", d.Fingerprint)
	a.print.note("started  in %s", roundTrip(d.Started))
	if !once {
		a.print.note("the page, through the tunnel (Ctrl-C ends the demo):")
		a.print.data("%s", d.URL)
		a.print.object(line)
		return
	}
	g := d.Fetched
	line.Fetched = &fetchLine{Bytes: g.Bytes, SHA256: g.SHA256, FirstByte: ms(g.FirstByte), Total: ms(g.Total)}
	a.print.data("ok: %s", d.URL)
	a.print.data("%d bytes through the tunnel, equal to the original; SHA-256 %s", g.Bytes, g.SHA256)
	a.print.data("ready after %s, first byte after %s, all after %s", roundTrip(d.Started), roundTrip(g.FirstByte), roundTrip(g.Total))
	a.print.object(line)
}

// now is the time of a JSON line.
func now() string { return stamp(time.Now()) }

// stamp is a time as JSON lines have it: RFC 3339 with milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
