package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newRevokeCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "revoke CLIENT",
		Short:             "Take all grants from a client and end its connections",
		Example:           "  culvert revoke phone",
		Args:              words(1, 1, "say which client, by its name or its public key"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		row, err := a.calls.revoke(ctx, c, args[0])
		if err != nil {
			return err
		}
		a.print.object(row)
		a.print.note("%s is revoked   %s", row.Name, row.Fingerprint)
		return nil
	})
	return cmd
}
