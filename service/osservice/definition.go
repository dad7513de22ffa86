package osservice

import (
	"github.com/kardianos/service"

	"culvert/config"
)

// Definition is what kardianos/service is told on a system.
func Definition(s Spec, goos string) (*service.Config, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	c := &service.Config{
		Name: s.Name(goos), DisplayName: s.description(), Description: s.description(),
		Executable: s.Executable,
		Option:     service.KeyValue{"UserService": s.User},
	}
	switch goos {
	case "windows":
		s.defineWindows(c)
	case "darwin":
		text, err := Plist(s)
		if err != nil {
			return nil, err
		}
		c.Option["LaunchdConfig"] = text
	default:
		text, err := Unit(s)
		if err != nil {
			return nil, err
		}
		c.Option["SystemdScript"] = text
	}
	return c, nil
}

// defineWindows: the service starts after those that the system needs, and again 10 s after
// it failed.
func (s Spec) defineWindows(c *service.Config) {
	c.Description = "Carries connections between this machine and others, end-to-end encrypted."
	c.Arguments = append([]string{string(s.Role), "--state-dir", s.StateDir}, s.Args...)
	c.UserName = s.RunAs
	c.Dependencies = []string{"Tcpip", "Dnscache"}
	c.EnvVars = map[string]string{config.EnvService: c.Name}
	c.Option["StartType"] = "automatic"
	c.Option["DelayedAutoStart"] = true
	c.Option["OnFailure"] = "restart"
	c.Option["OnFailureDelayDuration"] = "10s"
	c.Option["OnFailureResetPeriod"] = 86400 // seconds
}
