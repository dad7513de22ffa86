package osservice

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"

	"runtime"
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
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return denied("make the state directory", err)
	}
	sid, _, _, err := windows.LookupSID("", s.RunAs)
	if err != nil {
		return failure("user", "", "look up %s: %w", s.RunAs, err)
	}
	// Protected: nothing is inherited. Full access, for what is inside too.
	sddl := fmt.Sprintf("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;%s)", sid)
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return failure("state_dir", "", "make an access list: %w", err)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return failure("state_dir", "", "make an access list: %w", err)
	}
	err = windows.SetNamedSecurityInfo(s.StateDir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
	if err != nil {
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
