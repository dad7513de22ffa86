package token_test

import (
	"errors"
	"testing"

	"culvert/sbrp/sbrptest"
	"culvert/sbrp/token"
)

// ruleOrder is section 7's order, written down a second time, with the numbers of the list of rules.
var ruleOrder = []struct {
	rule   token.Rule
	number string
}{
	{token.RuleFormat, "7.4"}, {token.RuleType, "7.5"}, {token.RuleKeyID, "7.6"}, {token.RuleSignature, "7.7"},
	{token.RuleAudience, "7.8"}, {token.RuleIssuer, "7.9"}, {token.RuleTimes, "7.10"}, {token.RuleExpired, "7.11"},
	{token.RuleVersion, "7.12"}, {token.RuleRole, "7.13"}, {token.RuleDaemonID, "7.14"}, {token.RuleSubject, "7.15"},
	{token.RuleSession, "7.16"}, {token.RuleRegion, "7.17"}, {token.RuleLifetime, "7.18"}, {token.RuleScopes, "7.19"},
	{token.RuleLimits, "7.20"},
}

// TestConformance is section 7 of the specification. The relay's suite sends the same tokens to a real relay.
func TestConformance(t *testing.T) {
	s := sbrptest.NewSuite("token")
	for _, bad := range sbrptest.BadTokens {
		s.Case(bad.Rule, "client", bad.Name, func(t *testing.T) {
			f := client()
			bad.Spoil(f)
			wantRule(t, verifier(t), f.Raw(), ruleOrder[place(bad)].rule)
		})
	}
	s.Case("7.21", "client", "two mistakes in one token", verifyOrder)
	s.Case("7.22", "client", "121 s", warnsOfLongLife)
	s.Case("7.26", "issuer", "well-known address", jwksURL)
	s.Case("7.26", "issuer", "5 minutes", remoteCache)
	s.Case("7.27", "client", "made-up kids, then a rotation", remoteUnknownKid)
	s.Run(t)
}

// place is where the rule that a token breaks stands in the order.
func place(bad sbrptest.BadToken) int {
	for i, r := range ruleOrder {
		if r.number == bad.Rule {
			return i
		}
	}
	panic("no rule " + bad.Rule)
}

// verifyOrder spoils tokens in two places: the earlier rule must be the one that refuses. Two bad tokens for each rule are
// enough here.
func verifyOrder(t *testing.T) {
	v := verifier(t)
	count := map[string]int{}
	var some []sbrptest.BadToken
	for _, bad := range sbrptest.BadTokens {
		if count[bad.Rule]++; count[bad.Rule] <= 2 {
			some = append(some, bad)
		}
	}
	for i, a := range some {
		for _, b := range some[i+1:] {
			if place(a) == place(b) {
				continue
			}
			// The earlier rule's last: where both set the same claim, that one must stand.
			f := client()
			b.Spoil(f)
			a.Spoil(f)
			_, err := v.Verify(t.Context(), f.Raw())
			e, ok := errors.AsType[*token.Error](err)
			if want := ruleOrder[place(a)].rule; !ok || e.Rule != want {
				t.Errorf("%q with %q: %v, want rule %s", a.Name, b.Name, err, want)
			}
		}
	}
}
