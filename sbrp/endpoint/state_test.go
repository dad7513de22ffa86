package endpoint

import (
	"errors"
	"log/slog"
	"testing"

	"culvert/sbrp"
)

// row is one line of section 6: whatever is not listed changes nothing.
type row struct {
	from State
	on   event
	to   State
}

// clientRows is the client's part of section 6, written down once more and in
// the order of its text.
var clientRows = []row{
	{Idle, evDial, Connecting},
	{Connecting, evOpen, Handshaking},
	{Handshaking, evAccepted, Active},
	{Handshaking, evDistrusted, Closed},
	{Handshaking, evTimeout, Reconnecting},
	{Connecting, evLost, Reconnecting},
	{Handshaking, evLost, Reconnecting},
	{Handshaking, evEnded, Reconnecting},
	{Active, evPaused, Paused},
	{Pending, evPaused, Paused},
	{Active, evPending, Pending},
	{Paused, evPending, Pending},
	{Paused, evResumed, Active},
	{Pending, evResumed, Active},
	{Active, evLost, Reconnecting},
	{Paused, evLost, Reconnecting},
	{Pending, evLost, Reconnecting},
	{Active, evEnded, Reconnecting},
	{Paused, evEnded, Reconnecting},
	{Pending, evEnded, Reconnecting},
	{Active, evForged, Reconnecting},
	{Paused, evForged, Reconnecting},
	{Pending, evForged, Reconnecting},
	{Active, evExhausted, Reconnecting},
	{Paused, evExhausted, Reconnecting},
	{Pending, evExhausted, Reconnecting},
	{Paused, evPausedLong, Reconnecting},
	{Pending, evPausedLong, Reconnecting},
	{Idle, evClose, Closed},
	{Connecting, evClose, Closed},
	{Handshaking, evClose, Closed},
	{Active, evClose, Closed},
	{Paused, evClose, Closed},
	{Pending, evClose, Closed},
}

// daemonRows is the daemon's part.
var daemonRows = []row{
	{Idle, evOpen, Handshaking},
	{Handshaking, evAccepted, Active},
	{Handshaking, evTimeout, Closed},
	{Handshaking, evLost, Closed},
	{Handshaking, evEnded, Closed},
	{Handshaking, evClose, Closed},
	{Active, evLost, Reconnecting},
	{Reconnecting, evReady, Active},
	{Reconnecting, evUnfit, Closed},
	{Active, evUnfit, Closed},
	{Active, evEnded, Closed},
	{Reconnecting, evEnded, Closed},
	{Active, evForged, Closed},
	{Reconnecting, evForged, Closed},
	{Active, evExhausted, Closed},
	{Reconnecting, evExhausted, Closed},
	{Active, evClose, Closed},
	{Reconnecting, evClose, Closed},
}

func TestStateTables(t *testing.T) {
	for _, side := range []struct {
		role sbrp.Role
		rows []row
	}{{sbrp.RoleClient, clientRows}, {sbrp.RoleDaemon, daemonRows}} {
		want := make(map[transition]State)
		for _, r := range side.rows {
			want[transition{r.from, r.on}] = r.to
		}
		if len(want) != len(side.rows) {
			t.Errorf("%v: the test's rows repeat themselves", side.role)
		}
		for from := Idle; from <= Closed; from++ {
			for on := evDial; on <= evClose; on++ {
				s := newSession(1, side.role, slog.New(slog.DiscardHandler))
				s.state, s.up = from, from == Active
				_, _, changed := s.Path()
				to, listed := want[transition{from, on}]
				if !listed {
					to = from
				}
				why := errors.New("why")
				ok, first := s.step(on, why, nil)
				if got := s.State(); got != to || ok != listed {
					t.Errorf("%v: %v on event %d gives %v (%v), want %v (%v)", side.role, from, on, got, ok, to, listed)
					continue
				}
				over := listed && (to == Closed || side.role == sbrp.RoleClient && to == Reconnecting)
				if first != over || s.isOver() != over || (s.Err() != nil) != over {
					t.Errorf("%v: %v on event %d: over is %v, error %v, want over %v", side.role, from, on, s.isOver(), s.Err(), over)
				}
				up, _, _ := s.Path()
				if want := !over && to == Active || over && from == Active; up != want {
					t.Errorf("%v: path from %v to %v is up: %v, want %v", side.role, from, to, up, want)
				}
				select {
				case <-changed:
					if !listed || (from == Active) == (to == Active) && !over {
						t.Errorf("%v: %v on event %d: the path did not change, but says so", side.role, from, on)
					}
				default:
					if (from == Active) != (to == Active) || over {
						t.Errorf("%v: %v on event %d: the path changed and does not say so", side.role, from, on)
					}
				}
			}
		}
	}
}

func TestStateNames(t *testing.T) {
	seen := map[string]bool{}
	for s := Idle; s <= Closed+1; s++ {
		if name := s.String(); name == "" || seen[name] {
			t.Errorf("State(%d) has the name %q", s, name)
		} else {
			seen[name] = true
		}
	}
}
