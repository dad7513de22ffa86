package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
	"culvert/tunnel"
)

func newExposeCmd(a *app) *cobra.Command {
	var o service.ExposeOptions
	var fd readyFD
	cmd := &cobra.Command{
		Use:   "expose [NAME=]TARGET...",
		Short: "Let granted clients reach ports of this machine",
		Long: `Runs the daemon: clients that were paired or granted may reach the targets by their
names, and nobody else may connect. A target is a port of this machine, an address, a
unix socket, or a network with a port.`,
		Example: `  culvert expose 3000                          # its name is 3000
  culvert expose web=3000 ssh=127.0.0.1:22 db=unix:/run/db.sock
  culvert expose lan=10.0.0.0/8:443
  culvert expose web=3000 --pair               # and make a pairing code at start`,
		Args:              words(1, -1, "say what to expose, such as web=3000 or ssh=127.0.0.1:22"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Name, "name", "", "`NAME` of this daemon (default: the host name)")
	f.BoolVar(&o.Pair, "pair", false, "make a pairing code at start")
	f.BoolVar(&o.Replace, "replace", false, "take the name over from another daemon of this account")
	addHoldTime(f, &o.HoldTime)
	fd.add(cmd)
	cmd.RunE = a.runEndless(func(ctx context.Context, args []string) error {
		if err := fd.open(); err != nil {
			return err
		}
		for _, arg := range args {
			t, err := tunnel.ParseTarget(arg)
			if err != nil {
				return usagef("culvert expose web=3000", "%w", err)
			}
			o.Targets = append(o.Targets, t)
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		a.print.setHold(o.HoldTime)
		// Only to say what comes next; a file that cannot be read is expose's to report.
		rows, _, err := a.calls.clients(ctx, c)
		nobody := err == nil && len(rows) == 0 && !o.Pair
		o.Ready = func() {
			if nobody {
				a.print.note("nobody may connect yet; let a client in with: culvert pair")
			}
			fd.ready()
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		retry, stop := a.catchHangup(cancel)
		defer stop()
		o.Retry = retry
		a.print.wait(relayKey, "connecting to the relay")
		return a.calls.expose(ctx, o, notified(a.exposeEvent))
	})
	return cmd
}

// exposeEvent shows a pairing code to people as a QR code too.
func (a *app) exposeEvent(e service.Event) {
	a.print.event(e)
	if e.Event == service.EventPairingCode {
		a.showQR(e.PairingCode, time.Until(e.ExpiresAt))
	}
}
