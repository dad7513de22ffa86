package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRunCmd(a *app) *cobra.Command {
	var o service.RunOptions
	var firstUse bool
	cmd := &cobra.Command{
		Use:   "run DAEMON [[BIND:]LPORT:]TARGET... -- COMMAND [ARG...]",
		Short: "Run a command with forwards that last as long as it does",
		Long: `Binds the forwards, waits until every target can be reached, and runs the command. For
each target, such as db, it has CULVERT_ADDR_DB, CULVERT_HOST_DB and CULVERT_PORT_DB in
its environment (upper case, and _ for other characters than letters and digits), and
{{addr db}}, {{host db}} and {{port db}} are replaced in its arguments.

Standard input, output and error are the command's, signals are passed on to it, and its
exit code is the result. If it was not started, the exit code is one of culvert's.`,
		Example: `  culvert run laptop 0:db -- psql 'host={{host db}} port={{port db}} dbname=app'
  culvert run laptop 0:db 0:web -- sh -c 'DB=$CULVERT_ADDR_DB make integration-test'
  culvert run laptop -D 0 -- sh -c 'curl --socks5-hostname $CULVERT_ADDR_SOCKS5 http://printer.lan/'
  culvert run laptop 0:db --timeout 30s -- make test    # a job that must not wait for ever`,
		ValidArgsFunction: a.completeForward,
	}
	f := cmd.Flags()
	f.SortFlags = false
	addSOCKS(f)
	f.BoolVar(&o.Once, "once", false, "end when the first attempt fails, instead of trying again")
	f.Var(span{&o.Timeout}, "timeout", "end when daemon or target are out of reach for so long (default: never)")
	addHoldTime(f, &o.HoldTime)
	addFirstUse(f, &firstUse)
	const mend = "culvert run DAEMON TARGET... -- COMMAND"
	dash := -1
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch dash = cmd.ArgsLenAtDash(); {
		case dash < 0 || dash == len(args):
			return usagef(mend, "run: say behind a -- which command to run")
		case dash < 2 && (dash == 0 || !f.Changed(socksFlag)):
			return usagef(mend, "run: say which daemon and which of its targets, such as laptop 0:db")
		case a.flags.json:
			return usagef("leave out --json", "stdout is the command's: there is no JSON")
		}
		return nil
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		specs, err := parseForwards(args[1:dash], f)
		if err != nil {
			return err
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		signals, release := catchSignals()
		defer release()
		o.Common, o.Daemon, o.Forwards, o.Command = c, args[0], specs, args[dash:]
		o.Stdin, o.Stdout, o.Stderr = a.stdin, os.Stdout, os.Stderr
		o.Signals, o.PassOn = signals, passOn
		o.Trust = a.trust(ctx, firstUse)
		a.print.setHold(o.HoldTime)
		var back func()
		o.Starting = func() {
			a.print.endWaits(true)
			back = lendDumps()
		}
		o.Started = func() { back() }
		a.print.connecting(o.Daemon)
		// A signal is the command's affair, and ends nothing here.
		code, err := a.calls.run(context.WithoutCancel(ctx), o, a.print.trouble)
		if err != nil {
			return err
		}
		return exitOf(code)
	})
	return cmd
}

// trouble is event without the lines that say that all is well: stderr is the command's.
func (p *printer) trouble(e service.Event) {
	if e.Event == service.EventListening || e.Event == service.EventReady {
		p.follow(e)
		return
	}
	p.event(e)
}
