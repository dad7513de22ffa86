package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Stamp is a time in JSON as events have it: RFC 3339, UTC, milliseconds.
type Stamp struct{ time.Time }

// MarshalJSON writes the time.
func (s Stamp) MarshalJSON() ([]byte, error) { return json.Marshal(stamp(s.Time)) }

// ProcessStatus is what one running process says of itself.
type ProcessStatus struct {
	PID      int             `json:"pid"`
	Command  string          `json:"command"` // expose, forward, run, up, relay, or dial of a program that embeds culvert
	Program  string          `json:"program,omitempty"`
	Started  Stamp           `json:"started"`
	Config   string          `json:"config,omitempty"`   // up: its configuration file
	Reloaded Stamp           `json:"reloaded,omitzero"`  // up: when a changed file was applied last
	Exposure *ExposureStatus `json:"exposure,omitempty"` // nil: it exposes nothing
	Relay    *RelayStatus    `json:"relay,omitempty"`    // nil: it is no relay
	Targets  []TargetStatus  `json:"targets,omitempty"`
	Forwards []ForwardStatus `json:"forwards,omitempty"`
	Links    []LinkStatus    `json:"links,omitempty"`
	Conns    []ConnStatus    `json:"connections,omitempty"`
}

// ExposureStatus is the daemon's connection to its relay.
type ExposureStatus struct {
	Name     string `json:"name"`
	DaemonID string `json:"daemon_id,omitempty"`
	State    string `json:"state"` // online, offline or failed
	Since    Stamp  `json:"since"`
	Relay    string `json:"relay,omitempty"`
	Code     string `json:"code,omitempty"` // why it is not online
	Reason   string `json:"reason,omitempty"`
}

// TargetStatus is one target that is exposed.
type TargetStatus struct {
	Target      string `json:"target"`
	Address     string `json:"address"`
	Granted     int    `json:"granted"`     // clients that may reach it now
	Connections int    `json:"connections"` // open now
}

// ForwardStatus is one local address and the target that it leads to.
type ForwardStatus struct {
	Daemon      string  `json:"daemon"`
	Target      string  `json:"target"`
	Addr        string  `json:"addr,omitempty"` // empty until it is bound
	State       string  `json:"state"`          // binding, waiting, ready, unavailable or failed
	Since       Stamp   `json:"since"`
	Code        string  `json:"code,omitempty"` // unavailable, failed: why
	Message     string  `json:"message,omitempty"`
	RTT         float64 `json:"rtt_ms,omitempty"` // ready: round trip to the target's daemon
	Connections int64   `json:"connections"`      // open now
	Opened      int64   `json:"opened"`           // ever
	Refused     int64   `json:"refused"`          // ever
	BytesUp     int64   `json:"bytes_up"`
	BytesDown   int64   `json:"bytes_down"`
}

// LinkStatus is one link: from here to a daemon, or from a client to here.
type LinkStatus struct {
	Daemon      string  `json:"daemon,omitempty"` // of a forward's link
	Client      string  `json:"client,omitempty"` // of an exposure's link
	Key         string  `json:"key,omitempty"`    // the client's
	Fingerprint string  `json:"fingerprint,omitempty"`
	Peer        string  `json:"program,omitempty"` // the peer's program, as it says
	Link        string  `json:"link,omitempty"`    // its id; none before the first one
	State       string  `json:"state"`             // connecting, live, held, resuming or lost
	Since       Stamp   `json:"since"`
	RTT         float64 `json:"rtt_ms,omitempty"`
	Connections int     `json:"connections"`
	Buffered    int     `json:"buffered"` // bytes kept for sending again or not sent yet
	Sent        uint64  `json:"sent"`
	Received    uint64  `json:"received"`
	Resumes     int     `json:"resumes"`
	LastDrop    Stamp   `json:"last_drop,omitzero"`
	DropReason  string  `json:"drop_reason,omitempty"`
	Relay       string  `json:"relay,omitempty"`
	Code        string  `json:"code,omitempty"` // why there is no carrier now
	Message     string  `json:"message,omitempty"`
}

// ConnStatus is one connection.
type ConnStatus struct {
	Daemon   string `json:"daemon,omitempty"` // of a forward
	Client   string `json:"client,omitempty"` // of a target
	Target   string `json:"target"`
	Measure  string `json:"measure,omitempty"` // of `culvert bench`, which has no target
	Address  string `json:"address,omitempty"` // inside a network target
	From     string `json:"from,omitempty"`    // of a forward: the local program
	Since    Stamp  `json:"since"`
	BytesIn  int64  `json:"bytes_in"`  // from the other machine: of a target, the client's
	BytesOut int64  `json:"bytes_out"` // to it
}

// statusHead begins every line of `culvert status --json`.
type statusHead struct {
	Kind string `json:"kind"`
	Time Stamp  `json:"time"`
	PID  int    `json:"pid"`
}

// Lines are the JSON lines of the process: itself, then its relay, each target, forward,
// link and connection, told apart by "kind".
func (p ProcessStatus) Lines(now time.Time) []any {
	head := func(kind string) statusHead { return statusHead{kind, Stamp{now}, p.PID} }
	bare := p
	bare.Relay, bare.Targets, bare.Forwards, bare.Links, bare.Conns = nil, nil, nil, nil, nil
	lines := []any{struct {
		Kind string `json:"kind"`
		Time Stamp  `json:"time"`
		ProcessStatus
	}{"process", Stamp{now}, bare}}
	if p.Relay != nil {
		lines = append(lines, struct {
			statusHead
			RelayStatus
		}{head("relay"), *p.Relay})
	}
	for _, t := range p.Targets {
		lines = append(lines, struct {
			statusHead
			TargetStatus
		}{head("target"), t})
	}
	for _, f := range p.Forwards {
		lines = append(lines, struct {
			statusHead
			ForwardStatus
		}{head("forward"), f})
	}
	for _, l := range p.Links {
		lines = append(lines, struct {
			statusHead
			LinkStatus
		}{head("link"), l})
	}
	for _, c := range p.Conns {
		lines = append(lines, struct {
			statusHead
			ConnStatus
		}{head("connection"), c})
	}
	return lines
}

// Status asks every process that runs on the state directory. A process that gives no
// answer is a problem and does not hide the others.
func Status(ctx context.Context, c Common) (all []ProcessStatus, problems []error, err error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	answers, err := askAll(ctx, dir.Path(), http.MethodGet, "/v1/status", adminTimeout)
	if err != nil {
		return nil, nil, err
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	for _, a := range answers {
		st, err := a.process()
		if err != nil {
			problems = append(problems, fmt.Errorf("%w; if it is of another version, start it anew", err))
			continue
		}
		all = append(all, st)
	}
	slices.SortFunc(all, byStart)
	return all, problems, nil
}
