package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newServiceUninstallCmd(a *app) *cobra.Command {
	var f serviceFlags
	var purge bool
	cmd := &cobra.Command{
		Use:   "uninstall [up|relay]",
		Short: "Stop the service and have the system forget it; its keys stay",
		Long: `Stops the service and takes it from the service manager. Its state directory stays, with
the device key that others trust, unless --purge says otherwise; only a directory that
` + "`culvert service install`" + ` made for this very service is removed.`,
		Example: `  sudo culvert service uninstall
  culvert service uninstall --user --instance work --purge`,
		Args: words(0, 1, ""),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&purge, "purge", false, "remove its keys and configuration too")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		s, err := a.openService(&f, args)
		if err != nil {
			return err
		}
		dir, err := s.Uninstall(ctx, purge)
		if err != nil {
			return err
		}
		a.print.object(map[string]any{"service": s.Name(), "state_dir": dir, "purged": purge})
		if purge {
			a.print.data("%s is uninstalled; %s is gone", s.Name(), dir)
		} else {
			a.print.data("%s is uninstalled; its keys stay in %s", s.Name(), dir)
		}
		return nil
	})
	return cmd
}
