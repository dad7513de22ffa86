package osservice

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"culvert/config"
)

const platform = "darwin-launchd"

var errNoManager = failure("no_service_manager", "", "launchd is not there")

func checkManager(Spec) error { return nil }

// withAccount has a system service run as who ran sudo, with that user's keys.
func (s Spec) withAccount() (Spec, error) {
	if s.User {
		home, err := os.UserHomeDir()
		if err != nil {
			return s, failure("user", "", "find the home directory: %w", err)
		}
		s.Home, s.RunAs = home, ""
		return s, nil
	}
	if s.RunAs == "" {
		s.RunAs = config.SudoUser()
	}
	if s.RunAs == "" || s.RunAs == "root" && config.SudoUser() == "" {
		return s, usage("sudo culvert service install, or give --run-as USER or --user", "as which user shall the service run?")
	}
	u, err := user.Lookup(s.RunAs)
	if err != nil {
		return s, failure("user", "", "%w", err)
	}
	s.Home = u.HomeDir
	return s, nil
}

// makeStateDir makes the state directory and the one of the log.
func (s Spec) makeStateDir() error {
	for dir, mode := range map[string]fs.FileMode{s.StateDir: 0o700, filepath.Dir(s.logFile()): 0o755} {
		err := os.MkdirAll(filepath.Dir(dir), 0o755)
		if err == nil {
			err = os.Mkdir(dir, mode)
		}
		if errors.Is(err, fs.ErrExist) {
			continue // with its owner
		}
		if err != nil {
			return denied("make "+dir, err)
		}
		if err := s.giveAway(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s Spec) hints() []string {
	return []string{"its log is " + s.logFile()}
}

// LogCommand is the program that shows the service's last lines, and its arguments.
func (s *Service) LogCommand(lines int, follow, asJSON bool) ([]string, error) {
	if asJSON {
		return nil, usage("install it with -- --log-format json", "launchd keeps the log as it was written: there is no --json")
	}
	cmd := []string{"tail", "-n", strconv.Itoa(lines)}
	if follow {
		cmd = append(cmd, "-F")
	}
	return append(cmd, s.spec.logFile()), nil
}

func superuser() bool { return os.Geteuid() == 0 }
