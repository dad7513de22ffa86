package osservice

import (
	"path/filepath"
	"strings"

	"culvert/config"
	"culvert/service"
)

// defaultStateDir is where a service has its keys when nothing else is said.
func (s Spec) defaultStateDir(goos, programData string) (string, error) {
	suffix := ""
	if s.Role == Relay {
		suffix = "-relay"
	}
	if s.Instance != "" {
		suffix += "-" + s.Instance
	}
	switch {
	case s.User:
		dir, err := config.DefaultDir() // what the commands of this user look at
		if err != nil {
			return "", &service.Error{Code: service.CodeConfig, Name: "state_dir", Err: err}
		}
		return dir + suffix, nil
	case goos == "windows":
		return filepath.Join(programData, "culvert"+suffix), nil
	case goos == "darwin":
		return filepath.Join(s.Home, "Library/Application Support/culvert"+suffix), nil
	default:
		return "/var/lib/culvert" + suffix, nil
	}
}

// checkExecutable refuses a program that the service could not run, or that anybody could
// replace.
func (s Spec) checkExecutable(goos string) error {
	const mend = "install it for all first, such as: sudo install -m 755 culvert /usr/local/bin/"
	if strings.Contains(s.Executable, string(filepath.Separator)+"go-build") {
		return failure("executable", mend, "%s is gone when `go run` ends", s.Executable)
	}
	if goos != "linux" || s.User {
		return nil
	}
	for _, dir := range []string{"/home/", "/root/", "/tmp/", "/var/tmp/", "/run/user/"} {
		if strings.HasPrefix(s.Executable, dir) {
			return failure("executable", mend, "a system service does not see programs in %s, where %s is", strings.TrimSuffix(dir, "/"), s.Executable)
		}
	}
	return nil
}
