package sbrptest

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// rulesText is the one list of the protocol's rules; its head says how to read it.
//
//go:embed rules.txt
var rulesText string

// Rule is one rule of the protocol, in our own words.
type Rule struct {
	Section, Number int      // 2 and 15 for rule 2.15
	Level           string   // must or should
	Where           []string // packages that prove it
	Text            string
}

// ID is the rule's number as people write it: 2.15.
func (r Rule) ID() string { return fmt.Sprintf("%d.%d", r.Section, r.Number) }

// Rules returns the list. The error names the line that cannot be read, or that is out of order.
func Rules() ([]Rule, error) { return parseRules(rulesText) }

func parseRules(text string) ([]Rule, error) {
	var rules []Rule
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			return nil, fmt.Errorf("rules.txt:%d: %w", i+1, err)
		}
		last := Rule{Section: 1}
		if len(rules) > 0 {
			last = rules[len(rules)-1]
		}
		if !r.follows(last) {
			return nil, fmt.Errorf("rules.txt:%d: rule %s does not follow %s", i+1, r.ID(), last.ID())
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// follows reports whether no number is missing between the two.
func (r Rule) follows(last Rule) bool {
	return r.Section == last.Section && r.Number == last.Number+1 || r.Section == last.Section+1 && r.Number == 1
}

func parseRule(line string) (r Rule, err error) {
	f := strings.SplitN(line, " ", 4)
	if len(f) != 4 {
		return r, fmt.Errorf("%d fields, want 4", len(f))
	}
	section, number, _ := strings.Cut(f[0], ".")
	if r.Section, err = strconv.Atoi(section); err != nil {
		return r, fmt.Errorf("number %q: %w", f[0], err)
	}
	if r.Number, err = strconv.Atoi(number); err != nil {
		return r, fmt.Errorf("number %q: %w", f[0], err)
	}
	r.Level, r.Where, r.Text = f[1], strings.Split(f[2], ","), f[3]
	if !slices.Contains([]string{"must", "should"}, r.Level) {
		return r, fmt.Errorf("level %q", r.Level)
	}
	return r, nil
}
