package main

import (
	"context"
	"os/exec"

	"github.com/spf13/cobra"
)

func newServiceLogsCmd(a *app) *cobra.Command {
	var f serviceFlags
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [up|relay]",
		Short: "Show what the service wrote: of the journal, its log file or the event log",
		Example: `  sudo culvert service logs --lines 500
  culvert service logs --user --follow`,
		Args: words(0, 1, ""),
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.IntVarP(&lines, "lines", "n", 100, "how many `LINES`")
	fs.BoolVarP(&follow, "follow", "f", false, "go on with what it writes from now on")
	cmd.RunE = a.run(func(_ context.Context, args []string) error {
		if lines < 1 {
			return usagef("--lines 100", "--lines %d: there is nothing to show", lines)
		}
		s, err := a.openService(&f, args)
		if err != nil {
			return err
		}
		line, err := s.LogCommand(lines, follow, a.flags.json)
		if err != nil {
			return err
		}
		if line[0], err = exec.LookPath(line[0]); err != nil {
			return err
		}
		code, err := a.calls.become(line)
		if err == nil && code != 0 {
			return childExit(code)
		}
		return err
	})
	return cmd
}
