package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newClientsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "clients",
		Short:             "List who may reach what on this machine",
		Example:           "  culvert clients --json\n  culvert clients rename phone old-phone",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		rows, problems, err := a.calls.clients(ctx, c)
		if err != nil {
			return err
		}
		a.print.warn(problems)
		var cells [][]string
		for _, r := range rows {
			a.print.object(r)
			cells = append(cells, clientCells(r))
		}
		a.print.table([]string{"NAME", "TARGETS", "UNTIL", "LIVE", "FINGERPRINT"}, cells)
		return nil
	})
	cmd.AddCommand(newClientsRenameCmd(a), newClientsExportCmd(a), newClientsImportCmd(a))
	return cmd
}

// clientCells are the cells of one client in a table. LIVE is "-" where no daemon runs that
// could say how many links there are.
func clientCells(r service.ClientRow) []string {
	until, live := "-", "-"
	switch {
	case r.Expired:
		until = "expired"
	case r.Expires != nil:
		until = date(*r.Expires)
	}
	if r.Running {
		live = strconv.Itoa(r.Live)
	}
	return []string{r.Name, targets(r.Targets), until, live, r.Fingerprint.String()}
}
