package osservice

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"culvert/service"
)

const platform = "linux-systemd"

var errNoManager = failure("no_service_manager", "have whatever starts things on this machine run: culvert up", "this machine's service manager is not systemd, or it cannot be reached")

// checkManager asks systemd, the user's own one for services of a user.
func checkManager(s Spec) error {
	if _, err := s.systemctl(context.Background(), "show", "--property=Version"); err != nil { // answers at once, or never
		return errNoManager
	}
	return nil
}

// systemctl runs it and returns what it says.
func (s Spec) systemctl(ctx context.Context, args ...string) (string, error) {
	if s.User {
		args = append([]string{"--user"}, args...)
	}
	out, err := exec.CommandContext(ctx, "systemctl", args...).Output()
	return string(out), err
}

func (s *Service) unit() string { return s.Name() + ".service" }

// Start starts it and waits until it is online, for as long as that; a service that is
// still starting then is no error. Restart does so with one that runs.
func (s *Service) Start(ctx context.Context, wait time.Duration) (Status, error) {
	return s.begin(ctx, "start", wait)
}

// Restart stops it, if it runs, and is as Start then.
func (s *Service) Restart(ctx context.Context, wait time.Duration) (Status, error) {
	return s.begin(ctx, "restart", wait)
}

func (s *Service) begin(ctx context.Context, verb string, wait time.Duration) (Status, error) {
	st, err := s.Status(ctx)
	if err == nil && st.State == NotInstalled {
		err = errNotInstalled(s.Name())
	}
	if err != nil {
		return st, err
	}
	if _, err := s.spec.systemctl(ctx, verb, "--no-block", s.unit()); err != nil {
		return st, denied(verb+" "+s.Name(), err)
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-deadline.C:
			return s.Status(ctx)
		case <-poll.C:
		}
		if st, err = s.Status(ctx); err != nil || st.State == Running {
			return st, err
		}
		if st.State == Failed {
			return st, failure("service", "culvert service logs", "%s has failed: %s", s.Name(), st.Text)
		}
	}
}

// Stop stops it and waits for that.
func (s *Service) Stop(context.Context) error {
	if err := s.os.Stop(); err != nil {
		return denied("stop "+s.Name(), err)
	}
	return nil
}

// Status asks systemd.
func (s *Service) Status(ctx context.Context) (Status, error) {
	p, err := s.properties(ctx)
	st := Status{Name: s.Name(), Text: p["StatusText"], State: Stopped}
	if err != nil {
		return st, err
	}
	st.PID, _ = strconv.Atoi(p["MainPID"])        // 0 when there is none
	st.Restarts, _ = strconv.Atoi(p["NRestarts"]) // as above
	switch active := p["ActiveState"]; {
	case p["LoadState"] == "not-found":
		return Status{Name: st.Name, State: NotInstalled}, nil
	case active == "failed", p["SubState"] == "auto-restart":
		st.State = Failed
		st.Text = strings.TrimSpace("exit code " + p["ExecMainStatus"] + " " + p["StatusText"])
	case active == "active", active == "reloading":
		st.State, st.Since = Running, p["ActiveEnterTimestamp"]
	case active == "activating":
		st.State = Starting
	default:
		st.Text = "" // systemd keeps the last words
	}
	return st, nil
}

// properties are what systemd knows of the unit.
func (s *Service) properties(ctx context.Context) (map[string]string, error) {
	out, err := s.spec.systemctl(ctx, "show", "--property=LoadState,ActiveState,SubState,MainPID,StatusText,ActiveEnterTimestamp,NRestarts,ExecMainStatus,FragmentPath", s.unit())
	if err != nil {
		return nil, denied("ask for "+s.Name(), err)
	}
	p := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		p[key] = value
	}
	return p, nil
}

// checkOurs refuses to take away what a package has brought.
func (s *Service) checkOurs(ctx context.Context) error {
	p, err := s.properties(ctx)
	if err != nil {
		return err
	}
	if f := p["FragmentPath"]; strings.HasPrefix(f, "/usr/lib/") || strings.HasPrefix(f, "/lib/") {
		return failure("packaged", "systemctl disable --now "+s.Name()+", or remove the package", "the unit %s belongs to a package", f)
	}
	return nil
}

// LogCommand is the program that shows the service's last lines, and its arguments.
func (s *Service) LogCommand(lines int, follow, asJSON bool) ([]string, error) {
	cmd := []string{"journalctl", "--no-pager", "--lines=" + strconv.Itoa(lines)}
	if s.spec.User {
		cmd = append(cmd, "--user-unit="+s.unit())
	} else {
		cmd = append(cmd, "--unit="+s.unit())
	}
	if follow {
		cmd = append(cmd, "--follow")
	}
	if asJSON {
		cmd = append(cmd, "--output=json")
	}
	return cmd, nil
}

func (s Spec) withAccount() (Spec, error) {
	if s.User {
		s.RunAs = ""
	} else if s.RunAs == "" {
		s.RunAs = DefaultUser
	}
	return s, nil
}

// makeAccount makes the user culvert, which cannot log in; another one has to be there.
func (s Spec) makeAccount(ctx context.Context) error {
	if s.User {
		return nil
	}
	_, err := user.Lookup(s.RunAs)
	if err == nil {
		return nil
	}
	if s.RunAs != DefaultUser {
		return &service.Error{Code: service.CodeUsage, Name: "user", Err: err, Mend: "make the user first"}
	}
	line := "u " + DefaultUser + ` - "culvert tunnel" /var/lib/culvert /usr/sbin/nologin`
	if _, err := exec.CommandContext(ctx, "systemd-sysusers", "--inline", line).Output(); err != nil {
		return denied("make the user "+DefaultUser, err)
	}
	return nil
}

// makeStateDir makes the state directory, which is its user's alone.
func (s Spec) makeStateDir() error {
	err := os.Mkdir(s.StateDir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(s.StateDir), 0o755); err == nil {
			err = os.Mkdir(s.StateDir, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // with its owner, who may have keys in it already
	}
	if err != nil {
		return denied("make the state directory", err)
	}
	return s.giveAway(s.StateDir)
}

// hints are what a person does next.
func (s Spec) hints() []string {
	if s.User {
		u, err := user.Current()
		if err == nil {
			_, err = os.Stat("/var/lib/systemd/linger/" + u.Username)
		}
		if err != nil {
			return []string{"it runs while you are logged in; to have it run from boot on: loginctl enable-linger"}
		}
		return nil
	}
	if s.Role == Up {
		return []string{
			"log in once, if need be: sudo -u " + s.RunAs + " culvert login URL --state-dir " + s.StateDir,
			"what it runs stands in " + filepath.Join(s.StateDir, "config.yaml"),
		}
	}
	return nil
}

func superuser() bool { return os.Geteuid() == 0 }
