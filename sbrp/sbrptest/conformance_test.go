package sbrptest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every package that the list of rules names has a suite, so that no rule is proved nowhere.
func TestRulesHaveSuites(t *testing.T) {
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	suites := map[string]bool{}
	for _, r := range rules {
		for _, where := range r.Where {
			suites[where] = true
		}
	}
	for where := range suites {
		dir := filepath.Join("..", where)
		if _, err := os.Stat(dir); err != nil {
			dir = filepath.Join("..", "..", where)
		}
		src, err := os.ReadFile(filepath.Join(dir, "conformance_test.go"))
		if err != nil {
			t.Errorf("suite of %s: %v", where, err)
			continue
		}
		if !strings.Contains(string(src), `"`+where+`"`) || !strings.Contains(string(src), "func TestConformance(") {
			t.Errorf("suite of %s: no TestConformance that proves rules of %q", where, where)
		}
	}
	for section := 1; section <= 9; section++ {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.Section == section }) {
			t.Errorf("no rule of section %d", section)
		}
	}
}

// A rule without a case is found, and so is a case without a rule.
func TestGaps(t *testing.T) {
	rules, err := parseRules("# head\n1.1 must a,b one\n1.2 should b two\n\n2.1 must a three\n")
	if err != nil {
		t.Fatal(err)
	}
	run := func(*testing.T) {}
	good := []proof{{"1.1", "x", "n", run}, {"2.1", "x", "n", run}}
	for _, tt := range []struct {
		name  string
		cases []proof
		want  string
	}{
		{"complete", good, ""},
		{"missing", good[:1], "rule 2.1 has no case in a: three"},
		{"unknown", append(slices.Clone(good), proof{"9.9", "x", "n", run}), "case 9.9/x/n: rules.txt has no rule 9.9 for a"},
		{"of another package", append(slices.Clone(good), proof{"1.2", "x", "n", run}), "case 1.2/x/n: rules.txt has no rule 1.2 for a"},
		{"twice", append(slices.Clone(good), good[0]), "case 1.1/x/n stands twice"},
		{"empty", append(slices.Clone(good), proof{"1.1", "", "n", run}), `case "1.1//n" has an empty field`},
	} {
		if got := strings.Join(gaps(rules, "a", tt.cases), "\n"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, bad := range []string{"1.1 must a", "1.2 must a x", "1.1 must a x\n1.3 must a x", "1.1 perhaps a x", "x.1 must a x", "1.x must a x", "2.1 must a x\n4.1 must a x"} {
		if _, err := parseRules(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
