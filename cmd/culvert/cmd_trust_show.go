package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newTrustShowCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show NAME",
		Short:             "Show one pinned daemon",
		Example:           "  culvert trust show laptop",
		Args:              words(1, 1, "say which daemon"),
		ValidArgsFunction: a.completeDaemon,
	}
	cmd.RunE = a.run(func(_ context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		k, err := a.pinned(c, args[0])
		if err != nil {
			return err
		}
		p := pinOf(k)
		a.print.object(p)
		a.print.data("name         %s", p.Name)
		a.print.data("id           %s", p.ID)
		a.print.data("fingerprint  %s", p.Fingerprint)
		a.print.data("key          %s", p.Key)
		a.print.data("trust        %s, since %s", p.Trust, date(k.When))
		if p.URL != "" {
			a.print.data("relay        %s", p.URL)
		}
		return nil
	})
	return cmd
}
