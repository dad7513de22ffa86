package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"culvert/service"
)

// newManCmd is for packagers and `make man`: it is not in the help.
func newManCmd(a *app) *cobra.Command {
	var root *cobra.Command
	var date string
	cmd := &cobra.Command{
		Use:               "man DIR",
		Short:             "Write the manual pages to a directory",
		Example:           "  culvert man /usr/local/share/man/man1",
		Hidden:            true,
		Args:              words(1, 1, "say in which directory"),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
	}
	cmd.Flags().StringVar(&date, "date", "", "`YYYY-MM-DD` that the pages show (default: today)")
	run := a.run(func(_ context.Context, args []string) error {
		at := time.Now()
		if date != "" {
			var err error
			if at, err = time.Parse(time.DateOnly, date); err != nil {
				return usagef("--date 2026-01-31", "--date %q is not a day", date)
			}
		}
		return genMan(root, args[0], at)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root = cmd.Root()
		return run(cmd, args)
	}
	return cmd
}

// genMan writes a page for each command that the help shows, from the same texts.
func genMan(root *cobra.Command, dir string, date time.Time) error {
	root.DisableAutoGenTag = true // equal sources make equal pages
	keepTables(root)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = doc.GenManTree(root, &doc.GenManHeader{Title: "CULVERT", Section: "1", Source: "culvert", Manual: "culvert", Date: &date}, dir)
	}
	if err != nil {
		return &service.Error{Code: service.CodeFailure, Name: "man", Err: err, Mend: "give a directory that can be written to"}
	}
	return nil
}

// keepTables indents what is indented in the long texts, such as the table of exit codes,
// as the generator's Markdown wants it of lines that it must not fill.
func keepTables(cmd *cobra.Command) {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(cmd.Long) {
		indented := strings.HasPrefix(line, "  ")
		if indented && !inside {
			b.WriteString("\n")
		}
		if inside = indented; indented {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	cmd.Long = b.String()
	for _, sub := range cmd.Commands() {
		keepTables(sub)
	}
}
