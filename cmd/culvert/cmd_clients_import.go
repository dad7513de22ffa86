package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newClientsImportCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Grant what another machine has exported",
		Long: `Grants what the lines of a file, or of stdin (-), grant, at once, whether the daemon runs or
not. A client that is known has its grant replaced, clients that the file does not name
keep theirs. Where a line cannot be understood nothing is imported.`,
		Example: `  culvert clients import clients.txt
  ssh old-laptop culvert clients export | culvert clients import -`,
		Args: words(1, 1, "name the file that `culvert clients export` has made, or - for stdin"),
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		from, in := "stdin", io.Reader(a.stdin)
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return &service.Error{Code: service.CodeFailure, Name: "import", Err: err, Mend: "check the path"}
			}
			defer f.Close()
			from, in = args[0], f
		}
		rows, err := a.calls.importClients(ctx, c, from, in)
		if err != nil {
			return err
		}
		for _, r := range rows {
			a.print.object(r)
			a.print.note("%s may reach %s   %s", r.Name, targets(r.Targets), r.Fingerprint)
		}
		return nil
	})
	return cmd
}
