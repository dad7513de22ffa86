package osservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	kardianos "github.com/kardianos/service"

	"culvert/config"
	"culvert/service"
)

// Service is one service on this machine. Its methods block until the service manager has
// answered and are not to be called concurrently.
type Service struct {
	spec Spec
	os   kardianos.Service
}

// Installed tells what Install has done.
type Installed struct {
	Name     string   `json:"service"`
	StateDir string   `json:"state_dir"`
	RunAs    string   `json:"run_as,omitempty"`
	Hints    []string `json:"-"` // what a person should know
}

// State is what the service manager says about a service.
type State string

// The states.
const (
	NotInstalled State = "not_installed"
	Stopped      State = "stopped"
	Starting     State = "starting" // it runs, and is not online yet
	Running      State = "running"
	Failed       State = "failed"
)

// Status is the state with what else is known.
type Status struct {
	Name     string `json:"service"`
	State    State  `json:"state"`
	PID      int    `json:"pid,omitempty"`
	Text     string `json:"text,omitempty"` // the service's own words
	Since    string `json:"since,omitempty"`
	Restarts int    `json:"restarts,omitempty"`
}

// Open completes the spec with what this machine has by default. It changes nothing.
func Open(s Spec) (*Service, error) {
	if err := s.CheckName(); err != nil {
		return nil, err
	}
	if err := checkManager(s); err != nil {
		return nil, err
	}
	if s.Executable == "" {
		path, err := os.Executable()
		if err != nil {
			return nil, failure("executable", "", "find the program: %w", err)
		}
		s.Executable = path
	}
	s, err := s.withAccount()
	if err != nil {
		return nil, err
	}
	if s.StateDir == "" {
		if s.StateDir, err = s.defaultStateDir(runtime.GOOS, config.ProgramData()); err != nil {
			return nil, err
		}
	}
	if s.StateDir, err = filepath.Abs(s.StateDir); err != nil {
		return nil, failure("state_dir", "", "find the state directory: %w", err)
	}
	def, err := Definition(s, runtime.GOOS)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(kardianos.AvailableSystems(), func(sys kardianos.System) bool { return sys.String() == platform })
	if i < 0 {
		return nil, errNoManager
	}
	impl, err := kardianos.AvailableSystems()[i].New(nothing{}, def)
	if err != nil {
		return nil, failure("service", "", "%w", err)
	}
	return &Service{spec: s, os: impl}, nil
}

// nothing satisfies kardianos.Interface for those who only control a service.
type nothing struct{}

func (nothing) Start(kardianos.Service) error { return nil }
func (nothing) Stop(kardianos.Service) error  { return nil }

// Name is what the operating system calls it.
func (s *Service) Name() string { return s.spec.Name(runtime.GOOS) }

// Install makes its user and state directory, if need be, and tells the service manager,
// which starts it at boot. It does not start it now.
func (s *Service) Install(ctx context.Context) (Installed, error) {
	in := Installed{Name: s.Name(), StateDir: s.spec.StateDir, RunAs: s.spec.RunAs}
	st, err := s.Status(ctx)
	if err != nil {
		return in, err
	}
	if st.State != NotInstalled {
		return in, failure("installed", "culvert service uninstall first, which keeps the keys; culvert service restart is enough for a new culvert", "%s is installed already", in.Name)
	}
	if err := s.spec.checkExecutable(runtime.GOOS); err != nil {
		return in, err
	}
	if err := s.spec.makeAccount(ctx); err != nil {
		return in, err
	}
	if err := s.os.Install(); err != nil {
		_ = s.os.Uninstall() // best effort: what is half there would be in the way
		return in, denied("install "+in.Name, err)
	}
	err = s.spec.makeStateDir()
	if err == nil {
		err = s.spec.markState()
	}
	if err != nil {
		_ = s.os.Uninstall() // as above
		return in, err
	}
	in.Hints = s.spec.hints()
	return in, nil
}

// Uninstall stops it and takes it from the service manager. purge removes the state
// directory with its keys, too; it returns which one that is.
func (s *Service) Uninstall(ctx context.Context, purge bool) (stateDir string, err error) {
	st, err := s.Status(ctx)
	if err != nil {
		return "", err
	}
	if st.State == NotInstalled {
		return "", errNotInstalled(s.Name())
	}
	dir := s.spec.StateDir
	if purge { // looked at before anything is changed
		if err := checkMark(dir, s.Name()); err != nil {
			return "", err
		}
	}
	if err := s.checkOurs(ctx); err != nil {
		return "", err
	}
	if st.State != Stopped {
		if err := s.Stop(ctx); err != nil {
			return "", err
		}
	}
	if err := s.os.Uninstall(); err != nil {
		return "", denied("uninstall "+s.Name(), err)
	}
	if !purge {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return dir, denied("remove "+dir, err)
	}
	return dir, nil
}

// markName is the file in the state directory that says for which service it was made, so
// that no other directory is ever purged.
const markName = "service"

// markState says that the directory is this service's.
func (s Spec) markState() error {
	path := filepath.Join(s.StateDir, markName)
	if err := os.WriteFile(path, []byte(s.Name(runtime.GOOS)+"\n"), 0o600); err != nil {
		return denied("write "+path, err)
	}
	return s.giveAway(path)
}

// checkMark refuses a state directory that was not made for the service called name.
func checkMark(dir, name string) error {
	mark, err := os.ReadFile(filepath.Join(dir, markName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return denied("look into "+dir, err)
	}
	if strings.TrimSpace(string(mark)) != name {
		return failure("state_dir", "remove it by hand, or name the right one with --state-dir", "%s was not made for %s: it is left as it is", dir, name)
	}
	return nil
}

// denied says what was attempted, and what to do where only rights lack.
func denied(what string, err error) error {
	mend := ""
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if errors.Is(err, fs.ErrPermission) || !superuser() {
		mend = "do it as the superuser (sudo), or give --user for a service of your own"
	}
	return &service.Error{Code: service.CodeFailure, Name: "service", Err: fmt.Errorf("%s: %w", what, err), Mend: mend}
}

func errNotInstalled(name string) error {
	return failure("not_installed", "culvert service install", "%s is not installed", name)
}
