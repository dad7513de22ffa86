package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
	"culvert/service/osservice"
)

func newServiceCmd(a *app) *cobra.Command {
	cmd := newGroupCmd("service", "Run culvert as a service of the operating system",
		`  sudo culvert service install          # culvert up, from boot on
  sudo culvert service start
  culvert service install --user        # as you
  sudo culvert service install relay -- --listen :443 --public-url https://relay.example.org --tls-cert /etc/culvert/cert.pem --tls-key /etc/culvert/key.pem`,
		newServiceInstallCmd(a), newServiceUninstallCmd(a), newServiceStartCmd(a, "start"), newServiceStopCmd(a),
		newServiceStartCmd(a, "restart"), newServiceStatusCmd(a), newServiceLogsCmd(a),
	)
	cmd.Long = `Installs and looks after culvert as a service of systemd, launchd or Windows: "up", which
runs what config.yaml says, or "relay". Several of each have names (--instance). It never
runs as the superuser unless told to: on Linux as the user culvert, confined; on a Mac as
who ran sudo; on Windows with an account of its own.

A system service of Linux keeps its keys in /var/lib/culvert, of Windows in
%ProgramData%\culvert; on a Mac, and with --user, it has those of its user. A relay has
culvert-relay in their place, and what --instance says follows behind a '-'.`
	return cmd
}

// serviceFlags say which service is meant.
type serviceFlags struct {
	spec osservice.Spec
	wait time.Duration
}

func (f *serviceFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.spec.Instance, "instance", "", "`NAME` that tells several services of a kind apart")
	fs.BoolVar(&f.spec.User, "user", false, "of this user, instead of the system")
	cmd.ValidArgsFunction = cobra.FixedCompletions([]string{"up", "relay"}, noFiles)
}

// addWait adds how long to wait until the service is ready.
func (f *serviceFlags) addWait(cmd *cobra.Command) {
	f.wait = 30 * time.Second
	cmd.Flags().Var(span{&f.wait}, "wait", "how long to wait until it is online, where the system can tell")
}

// open finds the service; its kind is the first word, or up.
func (a *app) openService(f *serviceFlags, args []string) (osService, error) {
	f.spec.Role = osservice.Up
	if len(args) > 0 {
		f.spec.Role = osservice.Role(args[0])
	}
	f.spec.StateDir = a.flags.stateDir
	return a.calls.osService(f.spec)
}

func newServiceStopCmd(a *app) *cobra.Command {
	var f serviceFlags
	cmd := &cobra.Command{
		Use:     "stop [up|relay]",
		Short:   "Stop the service until it is started, or the machine is",
		Example: "  sudo culvert service stop",
		Args:    words(0, 1, ""),
	}
	f.add(cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		s, err := a.openService(&f, args)
		if err != nil {
			return err
		}
		if err := s.Stop(ctx); err != nil {
			return err
		}
		return a.showService(s.Status(ctx))
	})
	return cmd
}

// showService prints a status.
func (a *app) showService(st osservice.Status, err error) error {
	if err != nil {
		return err
	}
	a.print.object(st)
	line := st.Name + ": " + map[osservice.State]string{
		osservice.NotInstalled: "not installed", osservice.Stopped: "stopped", osservice.Starting: "starting, not online yet",
		osservice.Running: "running", osservice.Failed: "failed",
	}[st.State]
	a.print.data("%s", line+prefixed(", ", st.Text)+prefixed(", since ", st.Since))
	return nil
}

// errServiceDown is the outcome of asking for a service that does not run.
func errServiceDown(st osservice.Status) error {
	mend := "culvert service start"
	if st.State == osservice.NotInstalled {
		mend = "culvert service install"
	}
	return &service.Error{Code: service.CodeFailure, Name: string(st.State), Err: serviceDown(st.Name), Mend: mend}
}

type serviceDown string

func (s serviceDown) Error() string { return string(s) + " does not run" }
