package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a forward and an expose say of themselves while all is well, and when the relay is
// lost under a connection.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "echo="+echoServer(t), "other=1")
	w.pair("daemon", "client")
	f := w.forward("client", "daemon", "0:echo", "0:other")
	addr := f.waitFor(EventReady).Addr
	f.waitFor(EventTargetUnavailable)
	conn := dialEcho(t, addr)

	// Bytes are counted once they have been written, which the reader may see first.
	st := statusSoon(t, w.common("client"), "all bytes counted", func(st ProcessStatus) bool {
		return len(st.Forwards) > 0 && st.Forwards[0].BytesDown == 4 && st.Forwards[0].BytesUp == 4 && len(st.Conns) == 1 &&
			st.Conns[0].BytesIn == 4 && st.Conns[0].BytesOut == 4
	})
	if st.Command != "forward" || st.Exposure != nil || len(st.Forwards) != 2 || len(st.Links) != 1 || len(st.Conns) != 1 {
		t.Fatalf("client: %+v, want two forwards, a link and a connection", st)
	}
	fw, other, l := st.Forwards[0], st.Forwards[1], st.Links[0]
	if fw.State != forwardReady || fw.Addr != addr || fw.Connections != 1 || fw.Opened != 1 || fw.BytesUp != 4 || fw.BytesDown != 4 || fw.RTT <= 0 {
		t.Errorf("ready forward: %+v", fw)
	}
	if other.State != forwardUnavailable || other.Code != "refused" || !strings.Contains(other.Message, "other") {
		t.Errorf("forward to a dead target: %+v", other)
	}
	if l.State != "live" || l.Daemon != "daemon" || l.Sent == 0 || l.Received == 0 || !strings.HasPrefix(l.Relay, "ws://") || !strings.HasPrefix(l.Fingerprint, "SHA256:") || !l.LastDrop.IsZero() {
		t.Errorf("client's link: %+v", l)
	}
	if c := st.Conns[0]; c.Daemon != "daemon" || c.Target != "echo" || c.From != conn.LocalAddr().String() || c.BytesIn != 4 || c.BytesOut != 4 {
		t.Errorf("client's connection: %+v", c)
	}

	// The probe that found the target ready and the link that paired may still be ending.
	st = statusSoon(t, w.common("daemon"), "one link with one connection", func(st ProcessStatus) bool {
		return len(st.Links) == 1 && len(st.Conns) == 1 && st.Conns[0].BytesIn == 4 && st.Conns[0].BytesOut == 4
	})
	if st.Command != "expose" || st.Exposure == nil || st.Exposure.State != "online" || st.Exposure.Name != "daemon" || st.Exposure.Relay == "" || st.Exposure.DaemonID == "" {
		t.Fatalf("daemon: %+v, %+v", st, st.Exposure)
	}
	if len(st.Targets) != 2 || st.Targets[0] != (TargetStatus{"echo", st.Targets[0].Address, 1, 1}) || len(st.Links) != 1 || len(st.Conns) != 1 {
		t.Fatalf("daemon: %+v", st)
	}
	if l := st.Links[0]; l.State != "live" || l.Client == "" || l.Key == "" || l.Daemon != "" {
		t.Errorf("daemon's link: %+v", l)
	}
	if c := st.Conns[0]; c.Target != "echo" || c.Client == "" || c.BytesIn != 4 || c.BytesOut != 4 {
		t.Errorf("daemon's connection: %+v", c)
	}

	st = statusSoon(t, w.common("relay"), "the session", func(st ProcessStatus) bool { return st.Relay != nil && st.Relay.Sessions == 1 })
	if r := st.Relay; st.Command != "relay" || r.Daemons != 1 || r.Clients != 1 || r.BytesToClients == 0 || r.BytesToDaemons == 0 || r.URL != w.relay.URL || r.Addr != w.relay.Addr {
		t.Errorf("relay: %+v, %+v", st, r)
	}

	if err := w.stopRelay(); err != nil {
		t.Fatal(err)
	}
	f.waitFor(EventHeld)
	f.waitFor(EventError)
	st = statusSoon(t, w.common("client"), "held", func(st ProcessStatus) bool { return st.Links[0].State == "held" })
	if l = st.Links[0]; len(st.Conns) != 1 {
		t.Errorf("held connections: %+v, want the one", st.Conns)
	}
	if l.State != "held" || l.LastDrop.IsZero() || l.DropReason == "" || l.Code != "unreachable" || l.Connections < 1 || l.Connections > 2 { // a probe may be held too
		t.Errorf("held link: %+v", l)
	}
	x := statusSoon(t, w.common("daemon"), "offline", func(st ProcessStatus) bool {
		return st.Exposure.State == "offline" && len(st.Links) == 1 && st.Links[0].State == "held"
	})
	if x.Exposure.State != "offline" || x.Exposure.Code == "" || len(x.Links) != 1 || x.Links[0].State != "held" {
		t.Errorf("daemon without relay: %+v, %+v", x.Exposure, x.Links)
	}
}

// Each JSON line says what it is of, when and of which process, and nothing else is nested
// in it.
func TestStatusLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", 3600))
	p := ProcessStatus{
		PID: 7, Command: "up", Started: Stamp{now}, Exposure: &ExposureStatus{Name: "x", State: "online", Since: Stamp{now}},
		Relay:    &RelayStatus{URL: "http://x"},
		Targets:  []TargetStatus{{Target: "web"}},
		Forwards: []ForwardStatus{{Target: "db", State: forwardReady}},
		Links:    []LinkStatus{{State: "live"}},
		Conns:    []ConnStatus{{Target: "web"}},
	}
	var kinds []string
	for _, line := range p.Lines(now) {
		b, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if m["pid"] != 7.0 || m["time"] != "2026-01-02T02:04:05.006Z" {
			t.Errorf("line %s lacks pid or time", b)
		}
		for key, v := range m {
			if _, nested := v.([]any); nested {
				t.Errorf("line %s: %s is a list", b, key)
			}
		}
		kinds = append(kinds, m["kind"].(string))
	}
	if got := strings.Join(kinds, " "); got != "process relay target forward link connection" {
		t.Errorf("kinds %s", got)
	}
}

// Every example is a file that up takes.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../examples/config/*.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatalf("examples: %v, %v", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// A copy: others may change what git has checked out.
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Check(Common{StateDir: t.TempDir()}, file)
		if err != nil || r.Targets+r.Forwards == 0 {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
}
