package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
)

func newTrustCmd(a *app) *cobra.Command {
	return newGroupCmd("trust", "The daemons whose keys this machine has pinned",
		`  culvert trust list
  culvert trust accept laptop --fingerprint SHA256:9F:86:…`,
		newTrustListCmd(a), newTrustShowCmd(a), newTrustAcceptCmd(a), newTrustForgetCmd(a))
}

// pin is a pinned daemon as a JSON line.
type pin struct {
	Name        string `json:"name"`
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Key         string `json:"key"`
	Trust       string `json:"trust"`
	When        string `json:"when"`
	URL         string `json:"url,omitempty"`
}

func pinOf(k config.KnownDaemon) pin {
	return pin{
		Name: k.Name, ID: k.ID, Fingerprint: k.Key.Fingerprint().String(), Key: k.Key.String(),
		Trust: string(k.Trust), When: stamp(k.When), URL: k.ControlURL,
	}
}

// pinned finds a pin by its name.
func (a *app) pinned(c service.Common, name string) (config.KnownDaemon, error) {
	all, problems, err := a.calls.trustList(c)
	if err != nil {
		return config.KnownDaemon{}, err
	}
	a.print.warn(problems)
	for _, k := range all {
		if k.Name == name {
			return k, nil
		}
	}
	return config.KnownDaemon{}, &service.Error{
		Code: service.CodeDaemon, Name: "unknown_daemon",
		Err: fmt.Errorf("no daemon %q is pinned on this machine", name), Mend: "`culvert trust list` shows the names",
	}
}
