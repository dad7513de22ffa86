package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newClientsRenameCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rename CLIENT NAME",
		Short: "Give a client another name",
		Long: `Gives a client, named by its name or its public key, another name. What it may reach stays
as it is, and so do its connections; links that are there show the new name when they
begin anew.`,
		Example:           "  culvert clients rename phone old-phone",
		Args:              words(2, 2, "say which client, by its name or its public key, and its new name"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		row, err := a.calls.renameClient(ctx, c, args[0], args[1])
		if err != nil {
			return err
		}
		a.print.object(row)
		a.print.note("%s is its name now   %s", row.Name, row.Fingerprint)
		return nil
	})
	return cmd
}
