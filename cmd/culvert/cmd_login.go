package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
)

func newLoginCmd(a *app) *cobra.Command {
	var o service.LoginOptions
	var keyFile string
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Enrol this machine at a control plane",
		Long: `Enrols this machine's device key with an API key, once; after that the device key is
enough. The API key comes from --key-file, the file that CULVERT_API_KEY_FILE names,
stdin, or a prompt: never from the command line, where other users could read it.`,
		Example: `  culvert login https://relay.example.org --key-file office.key
  pass show office | culvert login https://relay.example.org`,
		Args:              words(1, 1, "say where: the URL of the relay"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&keyFile, "key-file", "", "`FILE` with the API key (env CULVERT_API_KEY_FILE); - is stdin")
	f.StringVar(&o.CAFile, "ca-file", "", "PEM `FILE` of a private CA to trust for this control plane")
	f.StringVar(&o.Name, "name", "", "`NAME` of this machine (default: the host name)")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common, o.URL = c, args[0]
		key, err := a.apiKey(ctx, keyFile)
		if err != nil {
			return err
		}
		o.APIKey = config.NewSecret(key)
		a.print.wait(askingKey, "logging in to "+o.URL)
		r, err := a.calls.login(ctx, o)
		a.print.done(askingKey)
		if err != nil {
			return err
		}
		a.print.object(struct {
			URL         string   `json:"url"`
			Name        string   `json:"name"`
			Account     string   `json:"account"`
			Scopes      []string `json:"scopes"`
			Fingerprint string   `json:"fingerprint"`
		}{r.URL, r.Name, r.Account, r.Scopes, r.Fingerprint.String()})
		a.print.note("logged in to %s as %s (account %s; %s)", r.URL, r.Name, r.Account, strings.Join(r.Scopes, ", "))
		a.print.note("this machine's key: %s", r.Fingerprint)
		return nil
	})
	return cmd
}
