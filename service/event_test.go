package service

import (
	"encoding/json"
	"testing"
	"time"
)

// The lines of --json are a contract with scripts: names, forms and what is left out.
func TestEventJSON(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 2, 11, 45e6, time.FixedZone("CET", 3600))
	for _, tc := range []struct {
		event Event
		want  string
	}{
		{
			Event{Time: at, Event: EventListening, Daemon: "laptop", Target: "web", Addr: "127.0.0.1:8080"},
			`{"time":"2026-11-23T13:02:11.045Z","event":"listening","daemon":"laptop","target":"web","addr":"127.0.0.1:8080"}`,
		},
		{
			Event{Time: at, Event: EventReady, Daemon: "laptop", Target: "web", Addr: "127.0.0.1:8080", RTT: 12345 * time.Microsecond, Fingerprint: "SHA256:AA"},
			`{"time":"2026-11-23T13:02:11.045Z","event":"ready","daemon":"laptop","target":"web","addr":"127.0.0.1:8080","fingerprint":"SHA256:AA","rtt_ms":12.345}`,
		},
		{
			Event{Time: at, Event: EventHeld, Daemon: "laptop", Reason: "relay lost", Connections: new(0)},
			`{"time":"2026-11-23T13:02:11.045Z","event":"held","daemon":"laptop","reason":"relay lost","connections":0}`,
		},
		{
			Event{Time: at, Event: EventResumed, Daemon: "laptop", After: 8100 * time.Millisecond, Kept: new(3), Lost: new(0)},
			`{"time":"2026-11-23T13:02:11.045Z","event":"resumed","daemon":"laptop","after_ms":8100,"kept":3,"lost":0}`,
		},
		{
			Event{Time: at, Event: EventPairingCode, PairingCode: "7K2M9", ExpiresAt: at.Add(5 * time.Minute)},
			`{"time":"2026-11-23T13:02:11.045Z","event":"pairing_code","code":"7K2M9","expires_at":"2026-11-23T13:07:11.045Z"}`,
		},
		{
			Event{Time: at, Event: EventError, Code: "tls", Message: "bad certificate"},
			`{"time":"2026-11-23T13:02:11.045Z","event":"error","code":"tls","message":"bad certificate"}`,
		},
	} {
		got, err := json.Marshal(tc.event)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s event: got %s (%v), want %s", tc.event.Event, got, err, tc.want)
		}
	}
}
