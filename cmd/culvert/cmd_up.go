package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
)

func newUpCmd(a *app) *cobra.Command {
	var o service.UpOptions
	var fd readyFD
	var firstUse bool
	cmd := &cobra.Command{
		Use:   "up [FILE]",
		Short: "Run everything in config.yaml: targets and forwards, in one process",
		Long: `Exposes the targets and binds the forwards of a configuration file, which is
config.yaml in the state directory unless another one is named:

  name: workshop            # this machine, as a daemon
  targets:
    web: 3000
    ssh: 127.0.0.1:22
  forwards:
    laptop:                 # a daemon, and what of it stands where
      - 8080:web
      - forward: 5432:db
        when_held: refuse

SIGHUP and ` + "`culvert reload`" + ` apply a changed file: what is the same in it is not touched,
and keeps its connections. A file with mistakes changes nothing. Until everything was
ready once, what cannot heal by itself ends the command; later it ends the exposure or
the forwards to one daemon, and the command when nothing else is left.`,
		Example: `  culvert check && culvert up
  culvert up ~/work.yaml
  culvert up --json --ready-fd 3 3>ready.txt`,
		Args:              words(0, 1, ""),
		ValidArgsFunction: completeYAML,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.Replace, "replace", false, "take the name over from another daemon of this account")
	addFirstUse(f, &firstUse)
	fd.add(cmd)
	cmd.RunE = a.runEndless(func(ctx context.Context, args []string) error {
		if err := fd.open(); err != nil {
			return err
		}
		if len(args) > 0 {
			o.File = args[0]
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Applied = a.applyFile(cmp.Or(o.File, config.PathIn(c.StateDir)), cmd.Flags().Changed("log-format"))
		c.Logger = a.logger()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		reload, stop := a.catchHangup(cancel)
		defer stop()
		o.Common, o.Trust, o.Ready, o.Reload = c, a.trust(ctx, firstUse), fd.ready, reload
		return a.calls.up(ctx, o, notified(a.upEvent))
	})
	return cmd
}

// completeYAML offers configuration files.
func completeYAML(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}
