package main

import (
	"context"
	"strings"

	"culvert/sbrp"
	"culvert/service"
)

// trust answers for a daemon that is not pinned yet: yes with --trust-on-first-use, a
// question when somebody is there to answer it, and nil (no) otherwise. The key in question
// is the one that the control plane advertises.
func (a *app) trust(ctx context.Context, onFirstUse bool) service.TrustFunc {
	switch {
	case onFirstUse:
		return func(name string, fp sbrp.Fingerprint) bool {
			a.print.note("%s is pinned now, unseen: %s", name, fp)
			return true
		}
	case a.canAsk():
		return func(name string, fp sbrp.Fingerprint) bool {
			a.print.ask("%s is not known on this machine. The control plane says that its key is\n  %s\n"+
				"Compare it with what `culvert expose` shows there. Trust it? [y/N] ", name, fp)
			answer, err := a.readLine(ctx)
			a.print.pause(false)
			return err == nil && (strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"))
		}
	default:
		return nil
	}
}
