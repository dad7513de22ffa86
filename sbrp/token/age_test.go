package token_test

import (
	"slices"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

// A relay may bound the age of tokens, whatever their exp says.
func TestMaxAge(t *testing.T) {
	s, err := token.NewSigner(kid, privKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		most, age time.Duration
		good      bool
	}{
		{0, 100 * time.Hour, true},
		{time.Hour, 0, true},
		{time.Hour, time.Hour + token.Skew, true},
		{time.Hour, time.Hour + token.Skew + time.Second, false},
		{24 * time.Hour, 100 * time.Hour, false},
		{time.Hour, -time.Minute, true}, // of a clock that is ahead; exp bounds it
	} {
		raw, err := s.Mint(token.Claims{
			Issuer: issuer, IssuedAt: now.Add(-tt.age), Expires: now.Add(time.Hour), ID: "j",
			Role: sbrp.RoleDaemon, DaemonID: "dmn_1",
		})
		if err != nil {
			t.Fatal(err)
		}
		v := verifier(t, func(c *token.VerifierConfig) { c.MaxAge = tt.most })
		if !tt.good {
			wantRule(t, v, raw, token.RuleAge)
		} else if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Errorf("age %v of at most %v: %v", tt.age, tt.most, err)
		}
	}
	keys, err := token.NewKeys(token.PublicKey{ID: kid, Key: pubKey})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.NewVerifier(token.VerifierConfig{Issuer: issuer, Keys: keys, MaxAge: -1}); err == nil {
		t.Error("a negative age was taken")
	}
}

// Each rule is counted by somebody, so each must be listed, once.
func TestRules(t *testing.T) {
	rules := token.Rules()
	for i, r := range rules {
		if r == "" || slices.Contains(rules[:i], r) {
			t.Errorf("rule %d is %q", i, r)
		}
	}
	if len(rules) != 18 {
		t.Errorf("%d rules, 18 are in errors.go", len(rules))
	}
}
