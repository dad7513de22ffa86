package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newAuditVerifyCmd(a *app) *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing was changed in the audit log, or taken out",
		Long: `Checks the daemon's audit log, as far back as it is kept: each line is bound to the one
before by a hash, and the head says which line is the last. A line that was changed, put in
or taken out ends it with exit code 1.

Whoever may write the state directory can write the whole log anew. To find that too, note
the head that is printed on another machine and give it later with --head.`,
		Example: `  culvert audit verify
  culvert audit verify --head "$(cat head-of-last-month)"`,
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&head, "head", "", "`HEAD` that was printed before, which the log has to contain")
	cmd.RunE = a.run(func(_ context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		r, err := a.calls.verifyAudit(c, head)
		if err == nil || len(r.Problems) > 0 {
			a.print.object(r)
		}
		for _, n := range r.Notes {
			a.print.note("%s", n)
		}
		if err != nil {
			return err
		}
		a.print.data("%s", r.Head)
		a.print.note("lines %d to %d are whole, from %s to %s; the head is the line above", r.First, r.Last, date(r.Since), date(r.Until))
		return nil
	})
	return cmd
}
