package main

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"culvert/service/osservice"
)

func newServiceInstallCmd(a *app) *cobra.Command {
	var f serviceFlags
	cmd := &cobra.Command{
		Use:   "install [up|relay] [-- FLAGS...]",
		Short: "Have the system run culvert from boot on",
		Long: `Tells the service manager to run ` + "`culvert up`" + ` or ` + "`culvert relay`" + ` from boot on, and again
when it fails; ` + "`culvert service start`" + ` starts it now. What stands behind -- are flags for that
command. Keys and configuration that are there already stay as they are.

With systemd the service counts as started once it is online, and is started anew when it
hangs. Certificates that are given to a relay with absolute paths stay readable for the
superuser alone.`,
		Example: `  sudo culvert service install
  culvert service install --user --instance work
  sudo culvert service install relay -- --listen 127.0.0.1:8443 --public-url https://relay.example.org --behind-proxy`,
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		own, _ := splitDash(cmd, args)
		return words(0, 1, "")(cmd, own)
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.spec.RunAs, "run-as", "", "`USER` that a system service runs as (default: see culvert service --help)")
	var own, rest []string
	run := a.run(func(ctx context.Context, _ []string) error {
		role := append(slices.Clone(own), "up")[0]
		if err := checkServiceArgs(a, role, rest); err != nil {
			return err
		}
		f.spec.Args = rest
		s, err := a.openService(&f, own)
		if err != nil {
			return err
		}
		done, err := s.Install(ctx)
		if err != nil {
			return err
		}
		a.print.object(done)
		a.print.data("%s is installed; keys and configuration: %s", done.Name, done.StateDir)
		for _, hint := range done.Hints {
			a.print.note("%s", hint)
		}
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		own, rest = splitDash(cmd, args)
		return run(cmd, own)
	}
	return cmd
}

// splitDash splits words at the --.
func splitDash(cmd *cobra.Command, args []string) (before, after []string) {
	if i := cmd.ArgsLenAtDash(); i >= 0 {
		return args[:i], args[i:]
	}
	return args, nil
}

// checkServiceArgs reads the flags as the command will, so that mistakes show now and not
// at the next boot. A file's path must not depend on the directory that this is called in.
func checkServiceArgs(a *app, role string, args []string) error {
	target := newUpCmd(a)
	if role == string(osservice.Relay) {
		target = newRelayCmd(a)
	}
	mend := "culvert " + role + " --help"
	root := &cobra.Command{}
	(&app{}).addGlobalFlags(root.PersistentFlags())
	root.AddCommand(target)
	if err := target.ParseFlags(args); err != nil {
		return usagef(mend, "%w", err)
	}
	for _, name := range []string{"state-dir", "ready-fd", "json"} {
		if f := target.Flags().Lookup(name); f != nil && f.Changed {
			return usagef("give it to culvert service, in front of the --", "--%s is not for the service's command", name)
		}
	}
	files := target.Flags().Args()
	for _, name := range []string{"tls-cert", "tls-key"} {
		if f := target.Flags().Lookup(name); f != nil && f.Changed {
			files = append(files, f.Value.String())
		}
	}
	for _, file := range files {
		if !filepath.IsAbs(file) {
			return usagef("write the whole path", "%q depends on the directory that the service is started in", file)
		}
	}
	return nil
}
