package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service/osservice"
)

// newServiceStartCmd is start and restart.
func newServiceStartCmd(a *app, verb string) *cobra.Command {
	var f serviceFlags
	cmd := &cobra.Command{
		Use:     "start [up|relay]",
		Short:   "Start the service, and wait until it is online",
		Example: "  sudo culvert service start\n  culvert service start --user --wait 5m",
		Args:    words(0, 1, ""),
	}
	if verb == "restart" {
		cmd.Use, cmd.Short = "restart [up|relay]", "Stop the service, start it and wait until it is online"
		cmd.Example = "  sudo culvert service restart relay"
	}
	f.add(cmd)
	f.addWait(cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		s, err := a.openService(&f, args)
		if err != nil {
			return err
		}
		begin := s.Start
		if verb == "restart" {
			begin = s.Restart
		}
		st, err := begin(ctx, f.wait)
		if err := a.showService(st, err); err != nil {
			return err
		}
		if st.State == osservice.Starting {
			a.print.note("it goes on trying; look again with: culvert service status")
		}
		return nil
	})
	return cmd
}
