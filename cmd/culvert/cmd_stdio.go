package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newStdioCmd(a *app) *cobra.Command {
	var o service.StdioOptions
	var firstUse bool
	cmd := &cobra.Command{
		Use:   "stdio DAEMON TARGET",
		Short: "Carry one connection on stdin and stdout",
		Long: `Carries one connection to a target on stdin and stdout, as ProxyCommand of ssh for
example. There is no --json: stdout is the connection.`,
		Example:           "  ssh -o ProxyCommand='culvert stdio %h ssh' me@laptop",
		Args:              words(2, 2, "say which daemon and which of its targets, such as laptop ssh"),
		ValidArgsFunction: a.completeStdio,
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.Timeout = 30 * time.Second
	f.Var(span{&o.Timeout}, "timeout", "how long it may take to reach the target")
	addHoldTime(f, &o.HoldTime)
	addFirstUse(f, &firstUse)
	run := a.runEndless(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common, o.Daemon, o.Target = c, args[0], args[1]
		o.In, o.Out = a.stdin, os.Stdout
		if firstUse { // nobody can be asked: stdin is the connection
			o.Trust = a.trust(ctx, true)
		}
		o.Connected = func() { a.print.endWaits(true) } // the terminal may be the connection's
		a.print.connecting(o.Daemon)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer a.endOnHangup(cancel)()
		return a.calls.stdio(ctx, o)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.flags.json {
			return usagef("leave out --json", "stdout is the connection: there is no JSON")
		}
		return run(cmd, args)
	}
	return cmd
}
