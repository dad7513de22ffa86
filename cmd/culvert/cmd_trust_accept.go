package main

import (
	"context"

	"github.com/spf13/cobra"

	"culvert/sbrp"
)

func newTrustAcceptCmd(a *app) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "accept NAME --fingerprint SHA256:…",
		Short: "Pin a daemon's key by its fingerprint",
		Long: `Pins the key of a daemon that the control plane shows, if it has the fingerprint given.
Take the fingerprint from the daemon's machine itself (culvert expose shows it), over a
way that you trust.`,
		Example:               "  culvert trust accept laptop --fingerprint SHA256:9F:86:D0:81:…",
		Args:                  words(1, 1, "say which daemon"),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "the key's fingerprint `FP`, SHA256:…")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		const mend = "culvert trust accept NAME --fingerprint SHA256:…, as culvert expose shows it"
		if fingerprint == "" {
			return usagef(mend, "say with --fingerprint which key to pin")
		}
		fp, err := sbrp.ParseFingerprint(fingerprint)
		if err != nil {
			return usagef(mend, "--fingerprint: %w", err)
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		a.print.wait(askingKey, "asking the control plane")
		k, err := a.calls.trustAccept(ctx, c, args[0], fp)
		a.print.done(askingKey)
		if err != nil {
			return err
		}
		a.print.object(pinOf(k))
		a.print.note("pinned %s   %s", k.Name, k.Key.Fingerprint())
		return nil
	})
	return cmd
}
