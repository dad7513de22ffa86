package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newReloadCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Apply a changed config.yaml to the running culvert up",
		Long: `Makes each running ` + "`culvert up`" + ` of this state directory read its file anew, as SIGHUP
does. What is the same in it is not touched and keeps its connections; what has changed
is bound anew; what is gone ends. Another hold_time is for links that begin from now on,
on which both sides agree. Log settings change at once, but for those that the command
line gives. A file with mistakes, or one whose new addresses are busy, changes nothing.`,
		Example:           "  culvert check && culvert reload",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		a.print.wait(askingKey, "waiting until the file is applied")
		done, err := a.calls.reload(ctx, c)
		a.print.done(askingKey)
		for _, r := range done {
			a.print.object(r)
			a.print.data("%s: reloaded; %s", r.File, r.Changed)
		}
		return err
	})
	return cmd
}
