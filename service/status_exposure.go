package service

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"culvert/config"
	"culvert/mux"
)

// addStatus tells of the daemon, its targets, links and connections.
func (x *exposure) addStatus(st *ProcessStatus) {
	x.mu.Lock()
	running := x.running
	xs := ExposureStatus{
		Name: x.name, DaemonID: x.presence.DaemonID, State: "offline", Since: Stamp{x.since},
		Relay: x.presence.URL,
	}
	switch {
	case x.failed != nil:
		xs.State, xs.Code, xs.Reason = "failed", x.failed.Name, x.failed.Error() // for people
	case x.online:
		xs.State = "online"
	case x.offline != nil:
		xs.Code, xs.Reason = x.offline.Name, reasonText(x.offline)
	}
	drops := maps.Clone(x.drops)
	x.mu.Unlock()
	st.Exposure = &xs

	streams := x.exposer.Streams()
	open := map[string]int{}
	for _, s := range streams {
		open[s.Target]++
		st.Conns = append(st.Conns, ConnStatus{
			Client: s.ClientName, Target: s.Target, Measure: string(s.Measure), Address: s.Address, Since: Stamp{s.Since},
			BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		})
	}
	grants, _, err := x.clients.List()
	if err != nil {
		x.m.log.Debug("grants not counted", "err", err) // nobody is granted anything then
	}
	now := time.Now()
	for _, t := range x.exposer.Targets().List() {
		granted := func(g config.Grant) bool { return !g.ExpiredAt(now) && g.Grants(t.Name) }
		_, address, _ := strings.Cut(t.String(), "=")
		ts := TargetStatus{Target: t.Name, Address: address, Connections: open[t.Name]}
		for _, g := range grants {
			if granted(g) {
				ts.Granted++
			}
		}
		st.Targets = append(st.Targets, ts)
	}
	if running {
		x.addLinks(st, drops, xs.Relay)
	}
}

func (x *exposure) addLinks(st *ProcessStatus, drops map[mux.LinkID]drop, relay string) {
	links := x.links.Links()
	slices.SortFunc(links, func(a, b mux.Status) int {
		return cmp.Or(cmp.Compare(a.Peer.Name, b.Peer.Name), cmp.Compare(a.Link.String(), b.Link.String()))
	})
	for _, l := range links {
		if l.State == mux.StateConnecting {
			continue // its client may never have heard of it; it has carried nothing
		}
		ls := linkStatus(l, drops[l.Link])
		key := keyOf(l.Peer)
		ls.Client, ls.Key, ls.Fingerprint, ls.Relay = l.Peer.Name, key.String(), key.Fingerprint().String(), relay
		st.Links = append(st.Links, ls)
	}
}

// linkStatus is what both ends of a link have in common.
func linkStatus(l mux.Status, d drop) LinkStatus {
	ls := LinkStatus{
		Peer: l.Peer.Program, State: string(l.State), Since: Stamp{l.Since}, RTT: milliseconds(l.RTT),
		Connections: l.Streams, Buffered: l.Buffered, Sent: l.Sent, Received: l.Received, Resumes: l.Resumes,
		LastDrop: Stamp{d.at}, DropReason: d.reason,
	}
	if !l.Link.IsZero() {
		ls.Link = l.Link.String()
	}
	return ls
}
