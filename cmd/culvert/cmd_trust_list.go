package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newTrustListCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the pinned daemons",
		Example:           "  culvert trust list --json",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(context.Context, []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		all, problems, err := a.calls.trustList(c)
		if err != nil {
			return err
		}
		a.print.warn(problems)
		var cells [][]string
		for _, k := range all {
			a.print.object(pinOf(k))
			cells = append(cells, []string{k.Name, string(k.Trust), date(k.When), k.Key.Fingerprint().String()})
		}
		a.print.table([]string{"NAME", "TRUST", "SINCE", "FINGERPRINT"}, cells)
		return nil
	})
	return cmd
}
