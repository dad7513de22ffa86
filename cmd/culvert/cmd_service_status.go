package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service/osservice"
)

func newServiceStatusCmd(a *app) *cobra.Command {
	var f serviceFlags
	cmd := &cobra.Command{
		Use:   "status [up|relay]",
		Short: "Say whether the service runs; exit code 1 if not",
		Long: `Asks the service manager. What the service does (targets, forwards, connections) is shown
by ` + "`culvert status --state-dir DIR`" + `, for its state directory.`,
		Example: "  culvert service status\n  culvert service status relay --json",
		Args:    words(0, 1, ""),
	}
	f.add(cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		s, err := a.openService(&f, args)
		if err != nil {
			return err
		}
		st, err := s.Status(ctx)
		if err := a.showService(st, err); err != nil {
			return err
		}
		if st.State != osservice.Running && st.State != osservice.Starting {
			return errServiceDown(st)
		}
		return nil
	})
	return cmd
}
