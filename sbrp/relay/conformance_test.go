package relay_test

import (
	"fmt"
	"strings"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/relay"
	"culvert/sbrp/sbrptest"
)

// TestConformance proves the relay's rules on a real relay, over real WebSockets: on loopback, or, where a rule is about time,
// over connections in memory on a fake clock.
func TestConformance(t *testing.T) {
	s := sbrptest.NewSuite("relay")
	frameCases(s)
	codeCases(s)
	stateCases(s)
	lifeCases(s)
	tokenCases(s)
	s.Run(t)
}

// loop makes a case of something that wants a relay on loopback.
func loop(f func(t *testing.T, r *rig)) func(*testing.T) {
	return func(t *testing.T) { f(t, newRig(t, nil)) }
}

// clock makes a case of something that lets time pass.
func clock(f func(t *testing.T, r *rig)) func(*testing.T) {
	return func(t *testing.T) { bubble(t, nil, f) }
}

// stateCases walks every row of the relay's own table of states, which tableOfRules holds against the list of rules.
func stateCases(s *sbrptest.Suite) {
	for _, row := range relay.Rows() {
		name := row.State + " | " + row.Event
		w, ok := walks[name]
		if !ok {
			s.Case("6.28", "relay", name, func(t *testing.T) { t.Error("this row has no scenario") })
			continue
		}
		if !w.clock {
			s.Case(w.rule, "relay", name, loop(w.run))
		}
		s.Case(w.rule, "relay", name+" (fake clock)", clock(w.run))
	}
	s.Case("6.28", "relay", "the table is the one of the rules", tableOfRules)
}

// tableOfRules compares the relay's table with the rules 6.15 to 6.27, which are its rows in words: "state, event: next state,
// code to the client or daemon, more".
func tableOfRules(t *testing.T) {
	const first, last = 15, 27
	rules, err := sbrptest.Rules()
	if err != nil {
		t.Fatal(err)
	}
	rows := relay.Rows()
	seen := map[string]bool{}
	for _, r := range rows {
		name := r.State + " | " + r.Event
		if seen[name] {
			t.Errorf("%s stands twice", name)
		}
		seen[name] = true
	}
	if len(walks) != len(rows) {
		t.Errorf("%d scenarios for %d rows", len(walks), len(rows))
	}
	for _, rule := range rules {
		if rule.Section != 6 || rule.Number < first || rule.Number > last {
			continue
		}
		row := rows[rule.Number-first]
		before, after, _ := strings.Cut(rule.Text, ": ")
		state, _, _ := strings.Cut(before, ", ")
		next, said, _ := strings.Cut(after, ", ")
		if w := walks[row.State+" | "+row.Event]; w.rule != rule.ID() || row.State != state || row.Next != next {
			t.Errorf("row %d is %s | %s | %s, rule %s says %q", rule.Number-first+1, row.State, row.Event, row.Next, rule.ID(), rule.Text)
		}
		for who, code := range map[string]sbrp.Code{"client": row.ToClient, "daemon": row.ToDaemon} {
			words := fmt.Sprintf("%v to the %s", code, who)
			if code == sbrp.CodeSessionPending && who == "daemon" { // rule 6.11
				continue
			}
			if code != 0 && !strings.Contains(said, words) || code == 0 && strings.Contains(said, "to the "+who) {
				t.Errorf("row %d tells the %s %v, rule %s says %q", rule.Number-first+1, who, code, rule.ID(), said)
			}
		}
	}
}
