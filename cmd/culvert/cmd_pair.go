package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newPairCmd(a *app) *cobra.Command {
	var o service.PairOptions
	var r service.RedeemOptions
	var wait bool
	cmd := &cobra.Command{
		Use:   "pair [CODE]",
		Short: "Let a client in: make a one-time code here, redeem it there",
		Long: `Without CODE, on the daemon's machine: makes a one-time pairing code. With CODE, or
with - to read it from stdin, on the client's machine: redeems it, pins the daemon's key
and is granted what the code stands for. The code proves each machine to the other, so
that neither relay nor control plane can stand between them.`,
		Example: `  culvert pair --targets web,ssh --for 30d     # on the daemon's machine
  culvert pair 7K2M9-X4QTB-…                   # on the client's machine
  culvert pair - --relay https://relay.example.org < code.txt    # as a guest, without login`,
		Args:              words(0, 1, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Targets, "targets", nil, "making: the `NAMES` of targets that the client may reach (default: all)")
	f.Var(span{&o.For}, "for", "making: how long the client may reach them, such as 30d (default: until revoked)")
	o.TTL = 5 * time.Minute
	f.Var(span{&o.TTL}, "ttl", "making: how long the code is valid, 5m at most")
	f.BoolVar(&wait, "wait", false, "making: wait until the code was used")
	f.StringVar(&r.URL, "relay", "", "redeeming: `URL` of the relay, for a guest that is not logged in there")
	f.StringVar(&r.CAFile, "ca-file", "", "redeeming: PEM `FILE` of a private CA to trust for this relay")
	f.StringVar(&r.As, "as", "", "redeeming: local `NAME` for the daemon (default: its own)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkPairSides(cmd, len(args) == 1); err != nil {
			return err
		}
		return a.run(func(ctx context.Context, args []string) error {
			c, err := a.common()
			if err != nil {
				return err
			}
			o.Common, r.Common = c, c
			if len(args) == 0 {
				return a.makePairing(ctx, o, wait)
			}
			r.Code = args[0]
			return a.redeemPairing(ctx, r)
		})(cmd, args)
	}
	return cmd
}

// checkPairSides refuses flags of the other side.
func checkPairSides(cmd *cobra.Command, redeeming bool) error {
	wrong, mend := []string{"relay", "ca-file", "as"}, "culvert pair CODE, or leave them out to make a code"
	if redeeming {
		wrong, mend = []string{"targets", "for", "ttl", "wait"}, "leave it out: the daemon's owner decides it when making the code"
	}
	for _, name := range wrong {
		if cmd.Flags().Changed(name) {
			return usagef(mend, "--%s is for the other side of pairing", name)
		}
	}
	return nil
}
