package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayBackupCmd(a *app) *cobra.Command {
	var o service.KeyStoreOptions
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the relay's store to a file",
		Long: `Writes the relay's store, as it is at this moment, to a new file. It works while the
relay runs. Keep the file as safe as the store: it holds the keys that sign tokens.
A store in PostgreSQL is copied by pg_dump.`,
		Example: "  culvert relay backup relay-$(date +%F).db",
		Args:    words(1, 1, "name the file to write"),
	}
	addDB(cmd.Flags(), &o.DB)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		if err := a.calls.backup(ctx, o, args[0]); err != nil {
			return err
		}
		a.print.object(struct {
			File string `json:"file"`
		}{args[0]})
		a.print.note("the store was copied to %s", args[0])
		return nil
	})
	return cmd
}
