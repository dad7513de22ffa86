package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newTrustForgetCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Forget a pinned daemon",
		Long: `Forgets the key of a daemon, so that it can be paired or accepted anew. Do it only when
the daemon's owner says that its key has changed.`,
		Example:           "  culvert trust forget laptop",
		Args:              words(1, 1, "say which daemon"),
		ValidArgsFunction: a.completeDaemon,
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		k, err := a.calls.trustForget(ctx, c, args[0])
		if err != nil {
			return err
		}
		a.print.object(pinOf(k))
		a.print.note("forgot %s   %s", k.Name, k.Key.Fingerprint())
		return nil
	})
	return cmd
}
