package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newGrantCmd(a *app) *cobra.Command {
	var o service.GrantOptions
	cmd := &cobra.Command{
		Use:   "grant CLIENT --targets NAMES",
		Short: "Let a client reach targets of this machine",
		Long: `Lets a client reach targets of this machine, at once, whether the daemon runs or not.
CLIENT is the name of a known client or the public key of a new one. What was granted
before is replaced.`,
		Example: `  culvert grant phone --targets web --for 2h
  culvert grant Sx3l…Q --name phone --targets web,ssh`,
		Args:                  words(1, 1, "say which client, by its name or its public key"),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Targets, "targets", nil, "the `NAMES` of the targets, separated by commas")
	f.Var(span{&o.For}, "for", "how long, such as 2h or 30d (default: until revoked)")
	f.StringVar(&o.Name, "name", "", "`NAME` for a new client")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		if len(o.Targets) == 0 {
			return usagef("culvert grant CLIENT --targets web,ssh", "say with --targets what the client may reach")
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common, o.Client = c, args[0]
		row, err := a.calls.grant(ctx, o)
		if err != nil {
			return err
		}
		a.print.object(row)
		until := ""
		if row.Expires != nil {
			until = " until " + date(*row.Expires)
		}
		a.print.note("%s may reach %s%s   %s", row.Name, targets(row.Targets), until, row.Fingerprint)
		return nil
	})
	return cmd
}
