package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayKeyRevokeCmd(a *app) *cobra.Command {
	var o service.KeyStoreOptions
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End an API key and the devices enrolled with it",
		Long: `Ends an API key: nothing can be enrolled with it any more, and devices that were
enrolled with it are refused. The ID is the one that list shows, not the key itself.`,
		Example:           "  culvert relay key revoke k3v9q2",
		Args:              words(1, 1, "say which key by its ID, as `culvert relay key list` shows it"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addDB(cmd.Flags(), &o.DB)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		row, err := a.calls.revokeKey(ctx, o, args[0])
		if err != nil {
			return err
		}
		a.print.object(row)
		a.print.note("revoked %s (%s)", row.ID, row.Name)
		return nil
	})
	return cmd
}
