package main

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// shells are the generators of completion scripts.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletionCmd(a *app) *cobra.Command {
	var root *cobra.Command
	cmd := &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for bash, zsh, fish or powershell",
		Example: `  culvert completion bash > /etc/bash_completion.d/culvert
  culvert completion zsh > "${fpath[1]}/_culvert"
  culvert completion fish > ~/.config/fish/completions/culvert.fish
  culvert completion powershell | Out-String | Invoke-Expression`,
		Args:              words(1, 1, "say for which shell: "+strings.Join(shells, ", ")),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
	}
	run := a.run(func(_ context.Context, args []string) error {
		var script bytes.Buffer
		if err := genCompletion(root, args[0], &script); err != nil {
			return err
		}
		a.print.script(script.String())
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root = cmd.Root()
		return run(cmd, args)
	}
	return cmd
}

func genCompletion(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	default:
		return usagef("culvert completion bash", "no completion for %q; there is %s", shell, strings.Join(shells, ", "))
	}
}
