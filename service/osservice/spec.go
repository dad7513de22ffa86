package osservice

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"culvert/service"
)

// Role is what a service runs; its text is the command.
type Role string

// The roles.
const (
	Up    Role = "up"    // what config.yaml says
	Relay Role = "relay" // relay and control plane
)

// DefaultUser is the user and group of services on Linux, and the group whose members may
// ask them.
const DefaultUser = "culvert"

// Spec is one service. The zero value of an optional field means what it says.
type Spec struct {
	Role       Role
	Instance   string   // tells several of a role apart; empty: the one without a name
	User       bool     // of this user, instead of the system
	RunAs      string   // system: the user; empty: see the package
	Executable string   // absolute path of culvert
	StateDir   string   // absolute path
	Home       string   // of the user that it runs as; Mac only
	Args       []string // behind the command, such as --listen
}

var instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Name is what the operating system calls the service.
func (s Spec) Name(goos string) string {
	name, sep := "culvert", "-"
	switch {
	case goos == "darwin":
		name, sep = "org.culvert."+string(s.Role), "."
	case s.Role == Relay:
		name = "culvert-relay"
	}
	if s.Instance != "" {
		name += sep + s.Instance
	}
	return name
}

// description is the line for people.
func (s Spec) description() string {
	text := "culvert tunnel"
	if s.Role == Relay {
		text = "culvert relay"
	}
	if s.Instance != "" {
		text += " (" + s.Instance + ")"
	}
	return text
}

// CheckName checks role and instance, which is all that a service that is there is found by.
func (s Spec) CheckName() error {
	switch {
	case s.Role != Up && s.Role != Relay:
		return usage("culvert service --help", "there is no service %q: say up or relay", s.Role)
	case s.Instance == "":
		return nil
	case !instanceName.MatchString(s.Instance):
		return usage("use small letters, digits, - and _, such as office", "an instance cannot be called %q", s.Instance)
	case s.Role == Up && (s.Instance == "relay" || strings.HasPrefix(s.Instance, "relay-")):
		return usage("choose another name", "the instance %q would be called like a relay", s.Instance)
	}
	return nil
}

// check checks everything before it becomes part of a definition.
func (s Spec) check() error {
	if err := s.CheckName(); err != nil {
		return err
	}
	for what, text := range map[string]string{"state directory": s.StateDir, "program": s.Executable, "user": s.RunAs, "home": s.Home} {
		if err := checkText(text); err != nil {
			return usage("", "the %s %q %w", what, text, err)
		}
	}
	for _, arg := range s.Args {
		if err := checkText(arg); err != nil {
			return usage("", "the argument %q %w", arg, err)
		}
	}
	return nil
}

// checkText refuses what no definition can carry: {{ would be the template engine's.
func checkText(text string) error {
	switch {
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("has control characters")
	case strings.Contains(text, "{{"):
		return errors.New("has a {{")
	}
	return nil
}

func usage(mend, format string, args ...any) error {
	return &service.Error{Code: service.CodeUsage, Name: "usage", Err: fmt.Errorf(format, args...), Mend: mend}
}

func failure(name, mend, format string, args ...any) error {
	return &service.Error{Code: service.CodeFailure, Name: name, Err: fmt.Errorf(format, args...), Mend: mend}
}
