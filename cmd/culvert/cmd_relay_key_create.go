package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayKeyCreateCmd(a *app) *cobra.Command {
	var o service.KeyStoreOptions
	var spec service.KeySpec
	var out string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an API key and print it, once",
		Long: `Makes an API key and writes it to stdout, or to a new file that only you can read. The
store keeps its hash only, so that it cannot be shown again. It works while the relay
runs.`,
		Example: `  culvert relay key create --scope daemon,client --name office --out office.key
  culvert relay key create --scope client --name phone --expires 30d`,
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&spec.Scopes, "scope", nil, "what it allows, as `SCOPES`: daemon,client or admin")
	f.StringVar(&spec.Name, "name", "", "`NAME` by which you know it")
	f.StringVar(&spec.Account, "account", "default", "`ACCOUNT` whose daemons it may register and reach")
	f.Var(span{&spec.For}, "expires", "how long it is valid, such as 30d (default: until revoked)")
	f.StringVar(&out, "out", "", "new `FILE` that the key is written to instead")
	addDB(f, &o.DB)
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		const mend = "culvert relay key create --scope daemon,client --name NAME"
		if len(spec.Scopes) == 0 {
			return usagef(mend, "say with --scope what the key allows")
		}
		for _, scope := range spec.Scopes {
			if scope != "daemon" && scope != "client" && scope != "admin" {
				return usagef(mend, "--scope %q is not known; there are daemon, client and admin", scope)
			}
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		file, err := newKeyFile(out)
		if err != nil {
			return err
		}
		defer file.discard()
		row, key, err := a.calls.createKey(ctx, o, spec)
		if err != nil {
			return err
		}
		shown := struct {
			service.KeyRow
			Key string `json:"key,omitempty"`
		}{KeyRow: row}
		if out != "" {
			if err := file.write(key); err != nil {
				return keyFileError(fmt.Errorf("the key %s was made and is lost, revoke it: %w", row.ID, err))
			}
			a.print.object(shown)
			a.print.note("API key %s of account %s is in %s", row.ID, row.Account, out)
			return nil
		}
		shown.Key = key
		a.print.object(shown)
		a.print.note("API key %s of account %s; it is not shown again:", row.ID, row.Account)
		a.print.data("%s", key)
		return nil
	})
	return cmd
}
