package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"culvert/tunnel"
)

const socksFlag = "dynamic"

// addSOCKS adds the flag of the commands that bind local ports.
func addSOCKS(f *pflag.FlagSet) {
	f.StringArrayP(socksFlag, "D", nil, "serve SOCKS5 at `[BIND:]PORT`, into the networks that the daemon exposes")
}

// forwardWords wants a daemon and something to bind.
func (a *app) forwardWords(cmd *cobra.Command, args []string) error {
	least := 2
	if cmd.Flags().Changed(socksFlag) {
		least = 1
	}
	return words(least, -1, "say which daemon and which of its targets, such as laptop 8080:web")(cmd, args)
}

// parseForwards parses the words behind the daemon and the addresses of SOCKS proxies.
func parseForwards(words []string, f *pflag.FlagSet) ([]tunnel.ForwardSpec, error) {
	var specs []tunnel.ForwardSpec
	for _, word := range words {
		spec, err := tunnel.ParseForward(word)
		if err != nil {
			return nil, usagef("8080:web, or 0:web for any free port", "%w", err)
		}
		specs = append(specs, spec)
	}
	proxies, err := f.GetStringArray(socksFlag)
	if err != nil {
		panic("culvert: " + err.Error()) // addSOCKS has not been called
	}
	for _, p := range proxies {
		spec, err := tunnel.ParseSOCKS(p)
		if err != nil {
			return nil, usagef("-D 1080, or -D 0 for any free port", "-D: %w", err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}
