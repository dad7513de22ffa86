package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newKeyCmd(a *app) *cobra.Command {
	return newGroupCmd("key", "The key that this machine is known by",
		`  culvert key show
  culvert key passphrase`,
		newKeyShowCmd(a), newKeyPassphraseCmd(a))
}

func newKeyShowCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show this machine's public key and fingerprint",
		Long: `Shows the public key of this machine, by which it is granted access elsewhere, its
fingerprint, and whether a passphrase protects the private one. It needs no passphrase.`,
		Example:           "  culvert key show --json",
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(context.Context, []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		k, err := a.calls.deviceKey(c)
		if err != nil {
			return err
		}
		a.print.object(k)
		a.print.data("%s", k.Key)
		protected := "no passphrase"
		if k.Protected {
			protected = "with a passphrase"
		}
		a.print.note("%s, %s", k.Fingerprint, protected)
		return nil
	})
	return cmd
}
