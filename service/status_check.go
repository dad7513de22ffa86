package service

import "fmt"

// Troubles says, in words for people, what of the process is not in order: a relay whose
// store is away, a daemon that is not online, forwards that are not ready. What waits for its
// first user, such as a link, is in order.
func (p ProcessStatus) Troubles() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r := p.Relay; r != nil && r.State != relayReady {
		add("relay %s: %s", r.URL, r.State)
	}
	if x := p.Exposure; x != nil && x.State != "online" {
		add("daemon %s: %s", x.Name, x.State)
	}
	for _, f := range p.Forwards {
		if f.State != forwardReady {
			add("forward %s/%s: %s", f.Daemon, f.Target, f.State)
		}
	}
	return all
}
