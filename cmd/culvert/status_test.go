package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"culvert/service"
)

// sampleStatus is a process that does everything and one that has just begun.
func sampleStatus(now time.Time) []service.ProcessStatus {
	ago := func(d time.Duration) service.Stamp { return service.Stamp{Time: now.Add(-d)} }
	return []service.ProcessStatus{{
		PID: 4711, Command: "up", Started: ago(26 * time.Hour), Config: "/home/me/config.yaml", Reloaded: ago(90 * time.Second),
		Exposure: &service.ExposureStatus{Name: "workshop", State: "online", Since: ago(2 * time.Hour), Relay: "wss://relay.example.org/relay"},
		Targets:  []service.TargetStatus{{Target: "web", Address: "localhost:3000", Granted: 2, Connections: 3}},
		Forwards: []service.ForwardStatus{
			{Daemon: "laptop", Target: "db", Addr: "127.0.0.1:5432", State: "ready", Connections: 1, Opened: 12, BytesUp: 999, BytesDown: 1_234_567},
			{Daemon: "laptop", Target: "wiki", Addr: "127.0.0.1:8080", State: "unavailable", Code: "refused"},
			{Daemon: "office", Target: "web", State: "binding"},
		},
		Links: []service.LinkStatus{
			{Client: "phone", State: "live", Since: ago(time.Minute), RTT: 12.4, Connections: 3, Sent: 1_000_000, Received: 2e9, Resumes: 2, LastDrop: ago(61 * time.Second), DropReason: "relay lost"},
			{Daemon: "laptop", State: "live", Since: ago(time.Hour), RTT: 0.35, Connections: 1, Relay: "wss://relay.example.org/relay"},
			{Daemon: "office", State: "held", Since: ago(3 * time.Second), Connections: 4, Buffered: 65536, Code: "unreachable", Message: "dial relay: no route"},
		},
	}, {
		PID: 4712, Command: "forward", Started: ago(0),
		Exposure: &service.ExposureStatus{Name: "x", State: "offline", Since: ago(time.Second), Code: "unreachable"},
	}, {
		PID: 4713, Command: "relay", Started: ago(time.Hour),
		Relay: &service.RelayStatus{URL: "https://relay.example.org", Addr: "[::]:443", Daemons: 2, Sessions: 1, Paused: 3, BytesToDaemons: 1e6, BytesToClients: 2e9},
	}}
}

const sampleTable = `culvert up   pid 4711   for 1d2h   /home/me/config.yaml (reloaded 1m30s ago)
  daemon workshop   online for 2h0m   relay wss://relay.example.org/relay
  TARGET  ADDRESS         CLIENTS  CONNECTIONS
  web     localhost:3000  2        3
  FORWARD         TARGET       STATE                 CONNECTIONS  UP     DOWN
  127.0.0.1:5432  laptop/db    ready                 1 of 12      999 B  1.23 MB
  127.0.0.1:8080  laptop/wiki  unavailable: refused  0 of 0       0 B    0 B
  -               office/web   binding               0 of 0       0 B    0 B
  LINK        STATE  FOR   RTT      CONNECTIONS  BUFFERED  SENT  RECEIVED  RESUMED  LAST DROP
  from phone  live   1m0s  12 ms    3            0 B       1 MB  2 GB      2        1m1s ago (relay lost)
  to laptop   live   1h0m  0.35 ms  1            0 B       0 B   0 B       0        -
  to office   held   3s    -        4            65.5 kB   0 B   0 B       0        -
  laptop by relay wss://relay.example.org/relay
  ! office: dial relay: no route

culvert forward   pid 4712   for 0s
  daemon x   offline for 1s (unreachable)

culvert relay   pid 4713   for 1h0m
  relay https://relay.example.org   listening on [::]:443
  2 daemons online   1 session and 3 paused   1 MB to daemons, 2 GB to clients
`

func TestStatusTable(t *testing.T) {
	now := time.Date(2026, 3, 1, 14, 2, 0, 0, time.UTC)
	got := strings.Join(statusLines(sampleStatus(now), now, "/state"), "\n") + "\n"
	if got != sampleTable {
		t.Errorf("got\n%s\nwant\n%s", got, sampleTable)
	}
	if got := strings.Join(statusLines(nil, now, "/state"), "\n"); got != "no culvert runs on /state" {
		t.Errorf("nothing runs: %q", got)
	}
}

func TestStatusSizes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_499: "999 kB", 999_500: "1 MB", 12_345_678: "12.3 MB", 5e12: "5 TB", 2e15: "2 PB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

// The command's words, and what it prints in each form.
func TestStatusCommand(t *testing.T) {
	answer := func(_ context.Context, c service.Common) ([]service.ProcessStatus, []error, error) {
		return sampleStatus(time.Now()), []error{errors.New("process behind x.sock gives no status")}, nil
	}
	r := newTestRun(t)
	r.a.calls.status = answer
	if r.run("status"); r.code != 0 || !strings.Contains(r.stdout.String(), "127.0.0.1:5432") || !strings.Contains(r.stderr.String(), "gives no status") {
		t.Errorf("status: exit code %d, stdout %q, stderr %q", r.code, r.stdout.String(), r.stderr.String())
	}
	r = newTestRun(t)
	r.a.calls.status = answer
	if r.run("status", "--json"); r.code != 0 || strings.Count(r.stdout.String(), "\n") != 11 || !strings.HasPrefix(r.stdout.String(), `{"kind":"process"`) {
		t.Errorf("status --json: exit code %d, stdout %s", r.code, r.stdout.String())
	}
	r = newTestRun(t)
	r.a.calls.status = func(context.Context, service.Common) ([]service.ProcessStatus, []error, error) { return nil, nil, nil }
	if r.run("status", "--json"); r.code != 0 || r.stdout.Len() > 0 {
		t.Errorf("status --json of nothing: exit code %d, stdout %q; want 0 and nothing", r.code, r.stdout.String())
	}
	if r.run("status", "extra"); r.code != 2 {
		t.Errorf("status extra: exit code %d, want 2", r.code)
	}
}

// A health check believes what is in order, and nothing else.
func TestStatusCheck(t *testing.T) {
	exposed := func(state string) service.ProcessStatus {
		return service.ProcessStatus{Command: "expose", Exposure: &service.ExposureStatus{Name: "x", State: state}}
	}
	relayed := func(state string) service.ProcessStatus {
		return service.ProcessStatus{Command: "relay", Relay: &service.RelayStatus{URL: "https://r", State: state}}
	}
	for name, test := range map[string]struct {
		all     []service.ProcessStatus
		problem error
		code    int
		said    string
	}{
		"nothing":         {code: 1, said: "nothing runs"},
		"no answer":       {problem: errors.New("x.sock is silent"), code: 1, said: "x.sock is silent"},
		"relay":           {all: []service.ProcessStatus{relayed("ready")}},
		"relay alone":     {all: []service.ProcessStatus{relayed("no_store")}, code: 1, said: "relay https://r: no_store"},
		"older relay":     {all: []service.ProcessStatus{relayed("")}, code: 1, said: "relay https://r"},
		"daemon":          {all: []service.ProcessStatus{exposed("online")}},
		"daemon and none": {all: []service.ProcessStatus{exposed("online"), exposed("offline")}, code: 1, said: "daemon x: offline"},
		"forwards":        {all: sampleStatus(time.Now())[:1], code: 1, said: "forward laptop/wiki: unavailable; forward office/web: binding"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRun(t)
			r.a.calls.status = func(context.Context, service.Common) ([]service.ProcessStatus, []error, error) {
				var problems []error
				if test.problem != nil {
					problems = append(problems, test.problem)
				}
				return test.all, problems, nil
			}
			if r.run("status", "--check"); r.code != test.code || !strings.Contains(r.stderr.String(), test.said) {
				t.Errorf("exit code %d, stderr %q; want %d, %q", r.code, r.stderr.String(), test.code, test.said)
			}
		})
	}
}

// A screen shows what fits, and what does not is counted.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &printer{stdout: &out}}
	s.draw([]string{"one", "a long line", "three\x1b[2J", "four"}, 6, 3)
	if got, want := out.String(), "\x1b[Hone\x1b[K\r\na lon…\x1b[K\r\n… 2 m…\x1b[K\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	s.draw([]string{"three\x1b[2J"}, 80, 24)
	if got := out.String(); got != "\x1b[Hthree\uFFFD[2J\x1b[K\x1b[J" {
		t.Errorf("control characters reach the terminal: %q", got)
	}
}

// Words of up, check and reload.
func TestUpWords(t *testing.T) {
	r := newTestRun(t)
	var got service.UpOptions
	r.a.calls.up = func(_ context.Context, o service.UpOptions, sink service.Sink) error {
		got = o
		sink(service.Event{Time: time.Unix(1e9, 0), Event: service.EventReloaded, Message: "forwards: 1 added"})
		sink(service.Event{Time: time.Unix(1e9, 0), Event: service.EventClosed, Daemon: "laptop", Target: "web", Addr: "127.0.0.1:1"})
		return nil
	}
	r.run("up", "work.yaml", "--replace", "--trust-on-first-use")
	if r.code != 0 || got.File != "work.yaml" || !got.Replace || got.Trust == nil {
		t.Errorf("up: exit code %d, options %+v", r.code, got)
	}
	if want := "+ 01:46:40 reloaded: forwards: 1 added\n- 01:46:40 127.0.0.1:1 -> laptop/web   closed\n"; r.stderr.String() != want {
		t.Errorf("up: lines %q, want %q", r.stderr.String(), want)
	}
	r = newTestRun(t)
	r.a.calls.reload = func(context.Context, service.Common) ([]service.Reloaded, error) {
		return []service.Reloaded{{PID: 1, File: "/c.yaml", Changed: "forwards: none"}}, nil
	}
	if r.run("reload"); r.code != 0 || r.stdout.String() != "/c.yaml: reloaded; forwards: none\n" {
		t.Errorf("reload: exit code %d, stdout %q", r.code, r.stdout.String())
	}
	r = newTestRun(t)
	r.a.calls.check = func(_ service.Common, file string) (service.CheckResult, error) {
		return service.CheckResult{File: file, Targets: 1, Forwards: 2}, nil
	}
	if r.run("check", "c.yaml"); r.code != 0 || r.stdout.String() != "c.yaml: no mistakes; 1 target, 2 forwards\n" {
		t.Errorf("check: exit code %d, stdout %q", r.code, r.stdout.String())
	}
}

// The file's settings of the log hold where no flag says otherwise.
func TestUpLogSettings(t *testing.T) {
	for text, want := range map[string]globalFlags{
		"log_level: debug\nlog_format: json\n": {verbose: 2, logFormat: "json"},
		"log_level: error\n":                   {verbose: -1, logFormat: "text"},
		"log_level: loud\n":                    {logFormat: "text"},
	} {
		r := newTestRun(t)
		r.a.flags.logFormat = "text"
		path := writeTemp(t, text)
		r.a.applyFile(path, false)
		if r.a.flags != want {
			t.Errorf("%q: %+v, want %+v", text, r.a.flags, want)
		}
		r.a.flags = globalFlags{verbose: 1, logFormat: "text"}
		r.a.applyFile(path, true)
		if r.a.flags != (globalFlags{verbose: 1, logFormat: "text"}) {
			t.Errorf("%q: flags changed to %+v", text, r.a.flags)
		}
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
