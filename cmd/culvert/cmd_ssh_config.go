package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newSSHConfigCmd(a *app) *cobra.Command {
	var o service.SSHOptions
	cmd := &cobra.Command{
		Use:   "ssh-config [USER@]DAEMON",
		Short: "Print a block for ~/.ssh/config",
		Long: `Prints a block for ~/.ssh/config with which ssh, scp, rsync, git and whatever else uses ssh
reach the daemon's ssh server by the daemon's name.`,
		Example: `  culvert ssh-config me@laptop >> ~/.ssh/config
  ssh laptop; scp file laptop:; git clone laptop:project`,
		Args:              words(1, 1, "say which daemon, such as laptop"),
		ValidArgsFunction: a.completeDaemon,
	}
	addSSH(cmd.Flags(), &o)
	cmd.RunE = a.run(func(_ context.Context, args []string) error {
		if err := a.sshTo(&o, args[0]); err != nil {
			return err
		}
		block, err := a.calls.sshConfig(o)
		if err != nil {
			return err
		}
		a.print.script(block)
		return nil
	})
	return cmd
}
