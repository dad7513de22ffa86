package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayRotateCmd(a *app) *cobra.Command {
	var o service.KeyStoreOptions
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Change the key that signs relay tokens",
		Long: `Makes the next signing key the one that signs, and a new next one. It works while the
relay runs and breaks nothing: relays have known the next key for long, and tokens of the
old one stay good until they expire. The relay does the same by itself every 30 days.`,
		Example:           "  culvert relay rotate",
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
		row, err := a.calls.rotateKey(ctx, o)
		if err != nil {
			return err
		}
		a.print.object(row)
		a.print.note("signing key %s signs now; running relays follow within a minute", row.ID)
		return nil
	})
	return cmd
}
