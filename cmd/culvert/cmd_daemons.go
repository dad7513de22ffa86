package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newDaemonsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "daemons",
		Short:             "List the daemons that the control plane shows this machine",
		Example:           "  culvert daemons --json",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		a.print.wait(askingKey, "asking the control plane")
		rows, err := a.calls.daemons(ctx, c)
		a.print.done(askingKey)
		if err != nil {
			return err
		}
		var cells [][]string
		for _, d := range rows {
			a.print.object(d)
			cells = append(cells, daemonCells(d))
		}
		a.print.table([]string{"NAME", "STATUS", "PIN", "ID", "FINGERPRINT"}, cells)
		return nil
	})
	return cmd
}

func daemonCells(d service.DaemonRow) []string {
	status, pin := "offline", "-"
	if d.Online {
		status = "online"
	}
	switch {
	case d.Changed:
		pin = "CHANGED"
	case d.Pinned:
		pin = "pinned"
	}
	return []string{d.Name, status, pin, d.ID, d.Fingerprint.String()}
}
