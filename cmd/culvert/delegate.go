package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
)

// delegable are the commands that a running service carries out for its group: they need
// nothing of whoever asks but their words, and touch no file that these name.
var delegable = []string{
	"culvert status", "culvert doctor", "culvert daemons", "culvert reload",
	"culvert pair", "culvert grant", "culvert revoke", "culvert clients",
	"culvert trust list", "culvert trust show", "culvert trust accept", "culvert trust forget",
	"culvert relay key create", "culvert relay key list", "culvert relay key revoke", "culvert relay rotate",
}

// fileFlags are flags of those commands that name files, which are the service's to read.
var fileFlags = []string{"ca-file", "db", "out", "passphrase-file", "state-dir"}

// delegate has a running service carry the command out, where the state directory is that
// of another user; done says that it did.
func (a *app) delegate(cmd *cobra.Command) (done bool, err error) {
	known := slices.Contains(delegable, cmd.CommandPath())
	if a.delegated != "" {
		if !known {
			return false, usagef("sudo -u OWNER "+cmd.CommandPath(), "a service does not carry out %s for others", cmd.CommandPath())
		}
		for _, name := range fileFlags {
			if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
				return false, usagef("leave it out", "--%s cannot be given to a service of another user", name)
			}
		}
		return false, nil
	}
	if !known || a.calls.delegate == nil {
		return false, nil
	}
	dir, err := config.StateDir(a.flags.stateDir)
	if err != nil {
		return false, nil // the command says so
	}
	words := withoutStateDir(a.words)
	code, done, err := a.calls.delegate(cmd.Context(), dir, words, passThrough{a.print, a.print.stdout}, passThrough{a.print, a.print.stderr})
	if err != nil || !done {
		return done, err
	}
	return true, exitOf(code)
}

// withoutStateDir leaves out where the state directory is: the service knows its own.
func withoutStateDir(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "--":
			return append(out, words[i:]...)
		case w == "--state-dir":
			i++
		case strings.HasPrefix(w, "--state-dir="):
		default:
			out = append(out, w)
		}
	}
	return out
}

// passThrough shows what the service wrote, which is cleaned already.
type passThrough struct {
	p *printer
	w io.Writer
}

// Write never fails, as the printer does not.
func (w passThrough) Write(b []byte) (int, error) {
	w.p.write(w.w, string(b))
	return len(b), nil
}

// executeFor carries out a command line that came by the admin socket: it has no terminal,
// nothing on stdin, and this process's state directory.
func executeFor(ctx context.Context, stateDir string, words []string, stdout, stderr io.Writer) int {
	none, err := os.Open(os.DevNull)
	if err != nil {
		fmt.Fprintf(stderr, "culvert: %v\n", err)
		return int(service.CodeFailure)
	}
	defer none.Close()
	a := newApp()
	a.stdin, a.tty, a.delegated = none, tty{}, stateDir
	a.print = &printer{stdout: stdout, stderr: stderr, loc: time.Local}
	return a.execute(ctx, words)
}
