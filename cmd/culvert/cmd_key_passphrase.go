package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
)

func newKeyPassphraseCmd(a *app) *cobra.Command {
	var newFile string
	var remove bool
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Set, change or remove the passphrase of this machine's key",
		Long: `Protects this machine's private key by a passphrase, or by another one, or by none any
more (--remove). From then on each command that uses the key asks for the passphrase on
the terminal, or reads it from the file of --passphrase-file or CULVERT_PASSPHRASE_FILE:
one line, which other users must not be able to read. It comes never from the command
line or an environment variable itself. What runs goes on.

Who forgets the passphrase has lost the key: this machine is a new one then.`,
		Example: `  culvert key passphrase
  culvert key passphrase --new-file phrase
  culvert up --passphrase-file phrase
  culvert key passphrase --passphrase-file phrase --remove`,
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&newFile, "new-file", "", "`FILE` with the new passphrase (default: ask)")
	f.BoolVar(&remove, "remove", false, "have no passphrase any more")
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		if remove && newFile != "" {
			return usagef("leave one of them out", "--remove and --new-file do not go together")
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o := service.ProtectOptions{Common: c}
		if !remove {
			o.Next = func(ctx context.Context) (config.Secret, error) { return a.newPassphrase(ctx, newFile) }
		}
		k, err := a.calls.protectKey(ctx, o)
		if err != nil {
			return err
		}
		a.print.object(k)
		if remove {
			a.print.note("the key %s has no passphrase any more", k.Fingerprint)
			return nil
		}
		a.print.note("the key %s has a new passphrase; who forgets it has lost the key", k.Fingerprint)
		return nil
	})
	return cmd
}
