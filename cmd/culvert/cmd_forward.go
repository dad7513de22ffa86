package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"culvert/service"
)

func newForwardCmd(a *app) *cobra.Command {
	var o service.ForwardOptions
	var fd readyFD
	var whenHeld string
	var firstUse bool
	cmd := &cobra.Command{
		Use:   "forward DAEMON [[BIND:]LPORT:]TARGET...",
		Short: "Bind local ports to targets of a daemon",
		Long: `Runs the client: each local address is bound to a target of the daemon. It is ready
once the daemon has said that it allows and can reach the target. Connections survive
the loss of the relay and of the network. It tries for ever, unless told otherwise.`,
		Example: `  culvert forward laptop web                  # the target's own port, or any free one
  culvert forward laptop 8080:web 0:ssh       # 0 takes any free port
  culvert forward laptop 0.0.0.0:8080:web     # for others in the network too
  culvert forward laptop unix:/tmp/db.sock:db
  culvert forward laptop -D 1080              # SOCKS5 into the networks that it exposes`,
		Args:              a.forwardWords,
		ValidArgsFunction: a.completeForward,
	}
	f := cmd.Flags()
	f.SortFlags = false
	addSOCKS(f)
	f.BoolVar(&o.Once, "once", false, "end when the first attempt fails, instead of trying again")
	f.Var(span{&o.Timeout}, "timeout", "end when daemon or target are out of reach for so long (default: never)")
	f.StringVar(&whenHeld, "when-held", "wait", "`HOW` new connections fare while the link is down: wait or refuse")
	addHoldTime(f, &o.HoldTime)
	addFirstUse(f, &firstUse)
	fd.add(cmd)
	cmd.RunE = a.runEndless(func(ctx context.Context, args []string) error {
		if err := fd.open(); err != nil {
			return err
		}
		if whenHeld != "wait" && whenHeld != "refuse" {
			return usagef("--when-held wait or --when-held refuse", "--when-held %q is not known", whenHeld)
		}
		specs, err := parseForwards(args[1:], cmd.Flags())
		if err != nil {
			return err
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common, o.Daemon, o.Forwards, o.WhenHeldRefuse = c, args[0], specs, whenHeld == "refuse"
		o.Trust, o.Ready = a.trust(ctx, firstUse), fd.ready
		a.print.setHold(o.HoldTime)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		retry, stop := a.catchHangup(cancel)
		defer stop()
		o.Retry = retry
		a.print.connecting(o.Daemon)
		return a.calls.forward(ctx, o, notified(a.print.event))
	})
	return cmd
}

// addHoldTime adds the flag of every command that has links.
func addHoldTime(f *pflag.FlagSet, to *time.Duration) {
	*to = 10 * time.Minute
	f.Var(span{to}, "hold-time", "how long connections are kept while the network is away")
}

// addFirstUse adds the flag of every command that meets a daemon.
func addFirstUse(f *pflag.FlagSet, to *bool) {
	f.BoolVar(to, "trust-on-first-use", false, "pin a daemon that is not known yet with the key that the control plane gives")
}
