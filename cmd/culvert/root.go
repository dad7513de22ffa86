package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRootCmd builds the tree of commands.
func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "culvert",
		Short: "Reach ports of a machine behind NAT through a relay that can read nothing",
		Long: `culvert carries TCP connections from a client machine to ports of a daemon machine
through a relay that neither side has to trust: both ends dial out, and everything
between them is end-to-end encrypted. One binary plays every part.

` + exitCodes,
		Example: `  culvert demo                      # every part in one process, on loopback
  culvert expose web=3000 ssh=22    # daemon: what others may reach, once granted
  culvert forward laptop 8080:web   # client: a local port for it`,
		Args:              subcommandArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.print.stdout)
	root.SetErr(a.print.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd.CommandPath()+" --help", "%w", err)
	})
	a.addGlobalFlags(root.PersistentFlags())
	root.AddCommand(
		newDemoCmd(a), newRelayCmd(a), newLoginCmd(a), newExposeCmd(a), newPairCmd(a),
		newForwardCmd(a), newRunCmd(a), newStdioCmd(a), newSSHCmd(a), newSSHConfigCmd(a), newDoctorCmd(a), newBenchCmd(a), newManCmd(a), newTrustCmd(a), newGrantCmd(a), newRevokeCmd(a),
		newClientsCmd(a), newAuditCmd(a), newKeyCmd(a), newDaemonsCmd(a), newVersionCmd(a), newCompletionCmd(a),
		newUpCmd(a), newCheckCmd(a), newReloadCmd(a), newStatusCmd(a), newServiceCmd(a),
	)
	root.SetHelpCommand(newHelpCmd(root))
	return root
}

// addGlobalFlags adds the flags of every command.
func (a *app) addGlobalFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&a.flags.json, "json", false, "write one JSON object per line to stdout")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "say nothing to people but what is wrong")
	f.StringVar(&a.flags.stateDir, "state-dir", "", "`DIR` with keys, pins and grants (env CULVERT_STATE_DIR; default: per user)")
	f.StringVar(&a.flags.phrase, "passphrase-file", "", "`FILE` with the passphrase of the device key, if it has one (env CULVERT_PASSPHRASE_FILE)")
	f.CountVarP(&a.flags.verbose, "verbose", "v", "log what happens; -vv logs more")
	f.StringVar(&a.flags.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
}

// newHelpCmd is `culvert help`: unlike cobra's own it fails on a command that is not there.
func newHelpCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Show the help of a command",
		Example:           "  culvert help relay key create",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("culvert help", "there is no command %q", strings.Join(args, " "))
			}
			return cmd.Help()
		},
	}
}

// newGroupCmd is a command that only holds others: alone it is a usage error.
func newGroupCmd(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: subcommandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef(cmd.CommandPath()+" --help", "say which: %s", strings.Join(subcommandNames(cmd), ", "))
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(subs...)
	return cmd
}

func subcommandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// subcommandArgs refuses a word that is not a sub-command, naming those that are near.
func subcommandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	mend := cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		mend = cmd.CommandPath() + " " + strings.Join(near, ", "+cmd.CommandPath()+" ")
	}
	return usagef(mend, "%s has no command %q", cmd.CommandPath(), args[0])
}
