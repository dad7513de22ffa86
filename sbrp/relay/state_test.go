package relay_test

import (
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
)

// specTable is the table of spec section 6, as it stands there.
const specTable = `
| none | client opens, daemon on | Paired | bind |
| none | client opens, daemon off | closed | daemon_offline to the client |
| Paired | daemon's WebSocket closes | Paused | session_paused to the client; routing stops |
| Paired | Signal(close) | closed | session_expired to the client |
| Paired | client closes | closed | session_ended to the daemon |
| Paused | daemon back, scope session:resume, in grace | Pending | session_pending to the client |
| Paused | daemon back without that scope | closed | session_expired to the client |
| Paused | client closes | closed | nothing to send |
| Paused | grace over (60 s by default **[chosen]**) | closed | session_expired to the client |
| Pending | no Signal within 10 s **[chosen]** (the published daemon never signals) | closed | session_expired to the client |
| Pending | Signal(ready) | Paired | session_resumed to the client; routing goes on |
| Pending | Signal(close) | closed | session_expired to the client |
| Pending | client closes | closed | session_ended to the daemon |
`

// words are the table's names for what the relay's own table calls differently.
var words = map[string]string{
	"grace over (60 s by default **[chosen]**)":                               "grace over",
	"no Signal within 10 s **[chosen]** (the published daemon never signals)": "no Signal in time",
}

func TestTableIsTheSpecs(t *testing.T) {
	rows := relay.Rows()
	for i, line := range strings.Split(strings.TrimSpace(specTable), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if w, ok := words[cells[1]]; ok {
			cells[1] = w
		}
		r := rows[i]
		if r.State != cells[0] || r.Event != cells[1] || r.Next != cells[2] {
			t.Errorf("row %d: got %s | %s | %s, the spec says %s", i+1, r.State, r.Event, r.Next, line)
		}
		var said []string
		if r.ToClient != 0 {
			said = append(said, r.ToClient.String()+" to the client")
		}
		if r.ToDaemon != 0 && r.ToDaemon != sbrp.CodeSessionPending { // that one stands in the text, for daemons that restarted
			said = append(said, r.ToDaemon.String()+" to the daemon")
		}
		action, _, _ := strings.Cut(cells[3], ";")
		if action == "bind" || action == "nothing to send" {
			action = ""
		}
		if got := strings.Join(said, ", "); got != action {
			t.Errorf("row %d: got %q, the spec says %q", i+1, got, action)
		}
	}
	seen := map[[2]string]bool{}
	for _, r := range rows {
		if k := [2]string{r.State, r.Event}; seen[k] {
			t.Errorf("%s | %s stands twice", r.State, r.Event)
		} else {
			seen[k] = true
		}
	}
}

// walks has one scenario for every row, on real connections in memory and a fake clock. d is a daemon with session 7, past its
// handshake.
var walks = map[string]func(t *testing.T, r *rig){
	"none | client opens, daemon on": func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		d.send(dataFrame(7, 40, 1))
		c.want(dataFrame(7, 40, 1))
	},
	"none | client opens, daemon off": func(t *testing.T, r *rig) {
		c := r.client("d", 7)
		c.wantLast(sbrp.CodeDaemonOffline, 7)
	},
	"Paired | daemon's WebSocket closes": func(t *testing.T, r *rig) {
		_, c := paused(r)
		c.send(dataFrame(7, 40, 1)) // goes nowhere, and ends nothing
		c.sync()
		if n := r.srv.Stats(); n.DiscardedNotPaired != 1 || n.Paused != 1 || n.Pauses != 1 {
			t.Errorf("got %+v", n)
		}
	},
	"Paired | Signal(close)": func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.session(d, "d", 7)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonPolicy))
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.sync()
		d.quiet()
	},
	"Paired | client closes": func(t *testing.T, r *rig) {
		d := r.daemon("d")
		r.session(d, "d", 7).close()
		d.wantControl(sbrp.CodeSessionEnded, 7)
	},
	"Paused | daemon back, scope session:resume, in grace": func(t *testing.T, r *rig) {
		_, c := paused(r)
		wait(59 * time.Second)
		d := pending(r, c)
		c.send(dataFrame(7, 40, 1)) // not yet
		c.sync()
		d.send(dataFrame(7, 40, 1)) // not yet
		d.sync()
		c.quiet()
		if n := r.srv.Stats(); n.DiscardedNotPaired != 2 || n.Pending != 1 {
			t.Errorf("got %+v", n)
		}
	},
	"Paused | daemon back without that scope": func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := r.daemon("d")
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.quiet()
	},
	"Paused | client closes": func(t *testing.T, r *rig) {
		_, c := paused(r)
		c.close()
		wait(time.Second)
		d := r.daemon("d", token.ScopeSessionResume)
		d.quiet()
		if n := r.srv.Stats(); n.Paused != 0 {
			t.Errorf("got %+v", n)
		}
	},
	"Paused | grace over": func(t *testing.T, r *rig) {
		_, c := paused(r)
		wait(60*time.Second - time.Millisecond)
		c.quiet()
		wait(time.Millisecond)
		c.wantLast(sbrp.CodeSessionExpired, 7)
	},
	"Pending | no Signal in time": func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		wait(10*time.Second - time.Millisecond)
		c.quiet()
		wait(time.Millisecond)
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.sync() // the daemon stays
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
		d.wantControl(sbrp.CodeSessionEnded, 7) // too late
	},
	"Pending | Signal(ready)": func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
		c.wantControl(sbrp.CodeSessionResumed, 7)
		c.send(dataFrame(7, 40, 1))
		d.want(dataFrame(7, 40, 1))
		d.send(dataFrame(7, 40, 2))
		c.want(dataFrame(7, 40, 2))
		wait(2 * time.Minute) // neither timer is left
		c.quiet()
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone)) // once more changes nothing
		d.sync()
		c.quiet()
	},
	"Pending | Signal(close)": func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonStateLost))
		c.wantLast(sbrp.CodeSessionExpired, 7)
	},
	"Pending | client closes": func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		c.close()
		d.wantControl(sbrp.CodeSessionEnded, 7)
	},
	"Paired | daemon's WebSocket closes before HandshakeAccept": func(t *testing.T, r *rig) {
		d := r.daemon("d", token.ScopeSessionResume)
		c := r.client("d", 7)
		c.send(initFrame(7))
		d.want(initFrame(7))
		d.close()
		c.wantLast(sbrp.CodeDaemonOffline, 7)
	},
	"Pending | daemon's WebSocket closes": func(t *testing.T, r *rig) {
		_, c := paused(r)
		d := pending(r, c)
		wait(5 * time.Second)
		d.close()
		c.wantControl(sbrp.CodeSessionPaused, 7)
		wait(59 * time.Second)
		d = pending(r, c)
		d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
		c.wantControl(sbrp.CodeSessionResumed, 7)
	},
	"Paired | handshake timeout": func(t *testing.T, r *rig) {
		d := r.daemon("d")
		c := r.client("d", 7)
		c.send(initFrame(7))
		d.want(initFrame(7))
		wait(30*time.Second - time.Millisecond)
		c.quiet()
		wait(time.Millisecond)
		c.wantLast(sbrp.CodeSessionExpired, 7)
		d.wantControl(sbrp.CodeSessionEnded, 7)
	},
}

// paused returns a session whose daemon has left.
func paused(r *rig) (d, c *end) {
	r.t.Helper()
	d = r.daemon("d", token.ScopeSessionResume)
	c = r.session(d, "d", 7)
	d.close()
	c.wantControl(sbrp.CodeSessionPaused, 7)
	return d, c
}

// pending brings the daemon back.
func pending(r *rig, c *end) *end {
	r.t.Helper()
	d := r.dial(daemonToken("d", token.ScopeSessionResume))
	c.wantControl(sbrp.CodeSessionPending, 7)
	d.wantControl(sbrp.CodeSessionPending, 7)
	return d
}

func TestEveryRowOfTheTable(t *testing.T) {
	for _, row := range relay.Rows() {
		name := row.State + " | " + row.Event
		walk := walks[name]
		if walk == nil {
			t.Errorf("no scenario for %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) { bubble(t, nil, walk) })
	}
	if len(walks) != len(relay.Rows()) {
		t.Errorf("%d scenarios for %d rows", len(walks), len(relay.Rows()))
	}
}
