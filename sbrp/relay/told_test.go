package relay

import (
	"testing"

	"culvert/sbrp"
)

func TestToldIsBounded(t *testing.T) {
	var told told
	for id := range sbrp.SessionID(3 * maxTold) {
		if !told.add(id + 1) {
			t.Fatalf("%d is not new", id+1)
		}
		if told.add(id + 1) {
			t.Fatalf("%d is new twice", id+1)
		}
	}
	if len(told.set) != maxTold || len(told.ring) != maxTold {
		t.Errorf("%d and %d remembered, want %d", len(told.set), len(told.ring), maxTold)
	}
	if told.add(3*maxTold) || told.add(2*maxTold+1) || !told.add(2*maxTold) {
		t.Error("not the newest are remembered")
	}
	for id := range sbrp.SessionID(3 * maxTold) { // with forgetting in between, the bound holds too
		told.forget(id + 1)
		told.add(id + 1)
	}
	if len(told.set) > maxTold || len(told.ring) != maxTold {
		t.Errorf("%d and %d remembered, want at most %d", len(told.set), len(told.ring), maxTold)
	}
}

func TestUnknownWords(t *testing.T) {
	if got := stateCount.String() + eventCount.String(); got != "state(5)event(12)" {
		t.Errorf("got %s", got)
	}
	for _, tr := range transitions {
		if tr.toClient != nobody && codeTexts[tr.toClient] == "" {
			t.Errorf("no text for %v", tr.toClient)
		}
	}
	// Every state and event that the table does not name changes nothing.
	n := 0
	for s := range stateCount {
		for e := range eventCount {
			if _, ok := s.next(e); ok {
				n++
			}
		}
	}
	if n != len(transitions) {
		t.Errorf("%d pairs do something, the table has %d rows", n, len(transitions))
	}
}
