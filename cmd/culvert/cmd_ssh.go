package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"culvert/config"
	"culvert/service"
)

func newSSHCmd(a *app) *cobra.Command {
	var o service.SSHOptions
	cmd := &cobra.Command{
		Use:   "ssh [USER@]DAEMON [-- SSH-ARG...]",
		Short: "Run ssh to a daemon's ssh server",
		Long: `Runs the system's ssh through the tunnel, to the daemon's target ssh. What stands behind
-- goes to ssh, behind the host. The host's key is known as DAEMON.culvert. The exit code
is ssh's.`,
		Example: `  culvert ssh laptop
  culvert ssh me@laptop -- -L 8080:localhost:80 uname -a`,
		Args:              words(1, -1, "say which daemon, such as laptop"),
		ValidArgsFunction: a.completeDaemon,
	}
	addSSH(cmd.Flags(), &o)
	run := a.run(func(_ context.Context, args []string) error {
		if err := a.sshTo(&o, args[0]); err != nil {
			return err
		}
		o.Args = args[1:]
		line, err := a.calls.sshCommand(o)
		if err != nil {
			return err
		}
		code, err := a.calls.become(line)
		if err != nil {
			return err
		}
		return exitOf(code)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if n := cmd.ArgsLenAtDash(); n > 1 || n < 0 && len(args) > 1 {
			return usagef("culvert ssh "+args[0]+" -- "+strings.Join(args[1:], " "), "ssh: write what is for ssh behind a --")
		}
		if a.flags.json {
			return usagef("leave out --json", "stdout is ssh's: there is no JSON")
		}
		return run(cmd, args)
	}
	return cmd
}

// addSSH adds the flags of the commands about ssh.
func addSSH(f *pflag.FlagSet, o *service.SSHOptions) {
	f.SortFlags = false
	f.StringVar(&o.Target, "target", service.SSHTarget, "`NAME` of the target that is the ssh server")
	addFirstUse(f, &o.FirstUse)
}

// sshTo takes [USER@]DAEMON apart.
func (a *app) sshTo(o *service.SSHOptions, host string) (err error) {
	o.Daemon = host
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		o.User, o.Daemon = host[:i], host[i+1:]
	}
	o.PassphraseFile, _ = config.PassphraseFile(a.flags.phrase)
	o.Common, err = a.common()
	return err
}
