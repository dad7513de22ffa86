package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newClientsExportCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the grants of this machine, for another one",
		Long: `Prints who may reach what on this machine, a line each, as ` + "`culvert clients import`" + `
takes them. It holds public keys and no secret. With --json it prints the same as
` + "`culvert clients --json`" + `.`,
		Example:           "  culvert clients export > clients.txt",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		if a.print.json {
			rows, problems, err := a.calls.clients(ctx, c)
			a.print.warn(problems)
			for _, r := range rows {
				a.print.object(r)
			}
			return err
		}
		text, problems, err := a.calls.exportClients(c)
		if err != nil {
			return err
		}
		a.print.warn(problems)
		a.print.script(text)
		return nil
	})
	return cmd
}
