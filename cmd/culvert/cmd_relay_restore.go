package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayRestoreCmd(a *app) *cobra.Command {
	var o service.KeyStoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the relay's store",
		Long: `Replaces everything that the relay's store holds by what a backup holds, in one step. It
works while the relay runs, and where there is no store yet. API keys that were revoked
after the backup are good again, and machines that were enrolled after it have to log in
again. Live connections go on.`,
		Example: "  culvert relay restore relay-2026-03-01.db",
		Args:    words(1, 1, "name the file that holds the backup"),
	}
	addDB(cmd.Flags(), &o.DB)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		r, err := a.calls.restore(ctx, o, args[0])
		if err != nil {
			return err
		}
		a.print.object(r)
		a.print.note("restored %d API keys, %d devices, %d daemons", r.Keys, r.Devices, r.Daemons)
		return nil
	})
	return cmd
}
