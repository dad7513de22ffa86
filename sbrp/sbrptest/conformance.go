package sbrptest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Suite is the table of one package: the cases that prove its rules.
type Suite struct {
	where string
	cases []proof
}

// proof is one proof of one rule.
type proof struct {
	rule string // its number: 2.15
	role string // the party that acts, or that breaks the rule: client, daemon, relay, issuer …
	name string // what is done
	run  func(t *testing.T)
}

// NewSuite returns the empty table of a package, by the name that rules.txt has for it.
func NewSuite(where string) *Suite { return &Suite{where: where} }

// Case adds a case: the rule's number, the party that acts, what it does.
func (s *Suite) Case(rule, role, name string, run func(t *testing.T)) {
	s.cases = append(s.cases, proof{rule, role, name, run})
}

// TableFile is the environment variable that names a file to append the table of outcomes to: `make conformance` prints it.
const TableFile = "CULVERT_CONFORMANCE"

// Run runs the cases as subtests, and fails if a rule that is to be proved here has none, or if a case names a rule that
// is not to be.
func (s *Suite) Run(t *testing.T) {
	t.Helper()
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, gap := range gaps(rules, s.where, s.cases) {
		t.Error(gap)
	}
	byID := map[string]Rule{}
	for _, r := range rules {
		byID[r.ID()] = r
	}
	for _, c := range s.cases {
		t.Run(c.title(), func(t *testing.T) {
			outcome := "FAILED" // unless it gets to its end
			defer func() {
				if t.Skipped() {
					outcome = "left out"
				}
				report(t, byID[c.rule], s.where, c, outcome)
			}()
			c.run(t)
			if !t.Failed() {
				outcome = "ok"
			}
		})
	}
}

func (c proof) title() string { return strings.Join([]string{c.rule, c.role, c.name}, "/") }

// gaps says what is wrong between the rules and the cases of one package.
func gaps(rules []Rule, where string, cases []proof) (wrong []string) {
	proved, known, seen := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range cases {
		proved[c.rule] = true
		if seen[c.title()] {
			wrong = append(wrong, fmt.Sprintf("case %s stands twice", c.title()))
		}
		seen[c.title()] = true
		if c.role == "" || c.name == "" || c.run == nil {
			wrong = append(wrong, fmt.Sprintf("case %q has an empty field", c.title()))
		}
	}
	for _, r := range rules {
		if !slices.Contains(r.Where, where) {
			continue
		}
		known[r.ID()] = true
		if !proved[r.ID()] {
			wrong = append(wrong, fmt.Sprintf("rule %s has no case in %s: %s", r.ID(), where, r.Text))
		}
	}
	for _, c := range cases {
		if !known[c.rule] {
			wrong = append(wrong, fmt.Sprintf("case %s: rules.txt has no rule %s for %s", c.title(), c.rule, where))
		}
	}
	return wrong
}

var reporting sync.Mutex // parallel subtests

// report appends a line to the table: a key to sort by, then number, level, rule, package, role, case, outcome. Several test
// processes append to the file at once, each line in one write.
func report(t *testing.T, r Rule, where string, c proof, outcome string) {
	path := os.Getenv(TableFile)
	if path == "" {
		return
	}
	reporting.Lock()
	defer reporting.Unlock()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Errorf("table: %v", err)
		return
	}
	key := fmt.Sprintf("%02d.%03d", r.Section, r.Number)
	_, err = fmt.Fprintln(f, strings.Join([]string{key, r.ID(), r.Level, r.Text, where, c.role, c.name, outcome}, "\t"))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		t.Errorf("table: %v", err)
	}
}
