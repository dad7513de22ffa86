package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"culvert/sbrp"
)

// words checks how many arguments there are. It does not repeat them: one may be a secret
// that stands in the wrong place.
func words(least, most int, missing string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		mend := strings.TrimSuffix(cmd.UseLine(), " [flags]")
		switch {
		case len(args) < least:
			return usagef(mend, "%s: %w", cmd.Name(), errors.New(missing))
		case most >= 0 && len(args) > most:
			return usagef(mend, "%s takes %s, not %d", cmd.Name(), count(most, "argument"), len(args))
		}
		return nil
	}
}

// keysLast puts public keys that begin with a '-', as one in 64 does, behind a "--", so
// that they are not read as flags. No command has more than one key and other words.
func keysLast(args []string) []string {
	isKey := func(word string) bool {
		_, err := sbrp.ParsePublicKey(word)
		return err == nil && strings.HasPrefix(word, "-")
	}
	if slices.Contains(args, "--") || !slices.ContainsFunc(args, isKey) {
		return args
	}
	var words, keys []string
	for _, arg := range args {
		if isKey(arg) {
			keys = append(keys, arg)
		} else {
			words = append(words, arg)
		}
	}
	return slices.Concat(words, []string{"--"}, keys)
}
