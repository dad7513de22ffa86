package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
)

func newCheckCmd(a *app) *cobra.Command {
	var schema bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Look for mistakes in config.yaml",
		Long: `Reads a configuration file as up would, and prints every mistake in it with its line
and column; exit code 10 if there is any. Nothing is started or asked. With --schema it
prints the JSON schema of such files, for editors.`,
		Example: `  culvert check
  culvert check ~/work.yaml && culvert reload
  culvert check --schema >culvert.schema.json`,
		Args:              words(0, 1, ""),
		ValidArgsFunction: completeYAML,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&schema, "schema", false, "print the JSON schema of the file instead")
	cmd.RunE = a.run(func(_ context.Context, args []string) error {
		if schema {
			if len(args) > 0 {
				return usagef("culvert check --schema", "--schema is for no particular file")
			}
			a.print.script(string(config.Schema()))
			return nil
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		file := ""
		if len(args) > 0 {
			file = args[0]
		}
		r, err := a.calls.check(c, file)
		if wrong, ok := errors.AsType[*service.MistakesError](err); ok {
			return a.mistakes(wrong)
		}
		if err != nil {
			return err
		}
		a.print.object(r)
		a.print.data("%s: no mistakes; %s, %s", r.File, count(r.Targets, "target"), count(r.Forwards, "forward"))
		return nil
	})
	return cmd
}

// mistake is a JSON line of check.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// mistakes prints what is wrong, one a line, and returns the error that ends the command.
func (a *app) mistakes(wrong *service.MistakesError) error {
	for _, m := range wrong.Mistakes {
		a.print.object(mistake{m.File, m.Line, m.Column, m.Msg})
		a.print.data("%s", m.Error())
	}
	return &service.Error{Code: service.CodeConfig, Name: "config", Err: &mistakesCount{wrong.Path, len(wrong.Mistakes)}}
}

// mistakesCount is the error after all mistakes have been printed.
type mistakesCount struct {
	path string
	n    int
}

func (m *mistakesCount) Error() string { return m.path + " has " + count(m.n, "mistake") }
