package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayKeyListCmd(a *app) *cobra.Command {
	var o service.KeyStoreOptions
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the API keys, without their secrets",
		Example:           "  culvert relay key list --json",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addDB(cmd.Flags(), &o.DB)
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		rows, err := a.calls.listKeys(ctx, o)
		if err != nil {
			return err
		}
		var cells [][]string
		for _, k := range rows {
			a.print.object(k)
			cells = append(cells, keyCells(k))
		}
		a.print.table([]string{"ID", "NAME", "ACCOUNT", "SCOPES", "CREATED", "STATE"}, cells)
		return nil
	})
	return cmd
}
