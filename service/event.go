package service

import (
	"encoding/json"
	"sync"
	"time"
)

// Event is one thing that happened in a long-running command: a line of --json, and what
// the lines for people are made from. Fields that do not belong to the event are empty.
// Fields are only ever added.
//
// Events of the client: listening, ready, target_unavailable, held, resumed, lost.
// Of the daemon: online, offline, client_connected, client_disconnected, pairing_code.
// Of the relay: online. Of all: error (a failure that is retried; Code and Message).
type Event struct {
	Time        time.Time
	Event       string
	Daemon      string
	DaemonID    string
	Name        string
	Target      string
	Addr        string
	Client      string
	Fingerprint string
	Relay       string
	URL         string
	Code        string
	Message     string
	Mend        string
	Reason      string
	Final       bool // error: it is not tried again
	PairingCode string
	ExpiresAt   time.Time
	RTT         time.Duration // ready: one round trip to the target's daemon
	After       time.Duration // resumed: how long the link was held
	Connections *int          // held, lost: live connections concerned
	Kept, Lost  *int          // resumed
}

// MarshalJSON writes the event with the field names of the command-line contract: times
// as RFC 3339 with milliseconds, durations as milliseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	type line struct {
		Time        string   `json:"time"`
		Event       string   `json:"event"`
		Daemon      string   `json:"daemon,omitempty"`
		DaemonID    string   `json:"daemon_id,omitempty"`
		Name        string   `json:"name,omitempty"`
		Target      string   `json:"target,omitempty"`
		Addr        string   `json:"addr,omitempty"`
		Client      string   `json:"client,omitempty"`
		Fingerprint string   `json:"fingerprint,omitempty"`
		Relay       string   `json:"relay,omitempty"`
		URL         string   `json:"url,omitempty"`
		Code        string   `json:"code,omitempty"`
		Message     string   `json:"message,omitempty"`
		Mend        string   `json:"mend,omitempty"`
		Reason      string   `json:"reason,omitempty"`
		Final       bool     `json:"final,omitempty"`
		ExpiresAt   string   `json:"expires_at,omitempty"`
		RTT         *float64 `json:"rtt_ms,omitempty"`
		After       *float64 `json:"after_ms,omitempty"`
		Connections *int     `json:"connections,omitempty"`
		Kept        *int     `json:"kept,omitempty"`
		Lost        *int     `json:"lost,omitempty"`
	}
	l := line{
		Time: stamp(e.Time), Event: e.Event, Daemon: e.Daemon, DaemonID: e.DaemonID,
		Name: e.Name, Target: e.Target, Addr: e.Addr, Client: e.Client,
		Fingerprint: e.Fingerprint, Relay: e.Relay, URL: e.URL, Code: e.Code,
		Message: e.Message, Mend: e.Mend, Reason: e.Reason, Final: e.Final,
		Connections: e.Connections, Kept: e.Kept, Lost: e.Lost,
	}
	if e.Event == EventPairingCode {
		l.Code = e.PairingCode
	}
	if !e.ExpiresAt.IsZero() {
		l.ExpiresAt = stamp(e.ExpiresAt)
	}
	if e.RTT > 0 {
		l.RTT = new(milliseconds(e.RTT))
	}
	if e.After > 0 {
		l.After = new(milliseconds(e.After))
	}
	return json.Marshal(l)
}

// Names of events.
const (
	EventListening          = "listening"
	EventReady              = "ready"
	EventTargetUnavailable  = "target_unavailable"
	EventHeld               = "held"
	EventResumed            = "resumed"
	EventLost               = "lost"
	EventOnline             = "online"
	EventOffline            = "offline"
	EventClientConnected    = "client_connected"
	EventClientDisconnected = "client_disconnected"
	EventPairingCode        = "pairing_code"
	EventError              = "error"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// Sink takes events. It is called from several goroutines, one call at a time, and must
// not block for long: the process waits for it.
type Sink func(Event)

// serial makes a sink safe for the several goroutines that tell events.
func serial(s Sink) Sink {
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		s(e)
	}
}
