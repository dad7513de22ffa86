package osservice

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/windows"

	"culvert/config/private"
)

const platform = "windows-service"

var errNoManager = failure("no_service_manager", "", "the service manager is not there")

// checkManager refuses services of a user, which Windows does not have.
func checkManager(s Spec) error {
	if s.User {
		return usage("leave --user out, as an administrator", "Windows has no services of a user")
	}
	return nil
}

// withAccount: each service has an account of its own, which can do nothing else.
func (s Spec) withAccount() (Spec, error) {
	if s.RunAs == "" {
		s.RunAs = `NT SERVICE\` + s.Name(runtime.GOOS)
	}
	return s, nil
}

// makeStateDir makes the state directory, which only the service's account, the system and
// administrators can open. The account is there once the service is installed.
func (s Spec) makeStateDir() error {
	if err := private.MkdirAll(s.StateDir); err != nil {
		return denied("make the state directory", err)
	}
	if err := private.Leave(s.StateDir, s.RunAs); err != nil {
		return denied("protect the state directory", err)
	}
	return nil
}

func (s Spec) giveAway(string) error { return nil } // the directory's access list is inherited

func (s Spec) hints() []string { return nil }

// LogCommand is the program that shows the service's last lines, and its arguments.
func (s *Service) LogCommand(lines int, follow, asJSON bool) ([]string, error) {
	if follow {
		return nil, usage("leave --follow out", "the event log cannot be followed")
	}
	form := "Format-List TimeCreated, LevelDisplayName, Message"
	if asJSON {
		form = "ForEach-Object { $_ | Select-Object TimeCreated, LevelDisplayName, Message | ConvertTo-Json -Compress }"
	}
	// The name has no sign that means anything to PowerShell.
	script := fmt.Sprintf("Get-WinEvent -FilterHashtable @{LogName='Application';ProviderName='%s'} -MaxEvents %d | %s", s.Name(), lines, form)
	return []string{"powershell", "-NoProfile", "-Command", script}, nil
}

func superuser() bool { return windows.GetCurrentProcessToken().IsElevated() }
