package token

import (
	"errors"
	"fmt"

	"culvert/sbrp"
)

// ErrUnknownKey is what a [KeySource] returns for a key id that it does not hold.
var ErrUnknownKey = errors.New("unknown signing key")

// Rule names the check of spec section 7 that a token failed, for logs and tests.
type Rule string

// The rules, in the order in which [Verifier.Verify] applies them.
const (
	RuleFormat    Rule = "format"    // at most MaxLength bytes, three parts, JSON inside
	RuleType      Rule = "typ"       // header typ is Type
	RuleKeyID     Rule = "kid"       // header kid is there
	RuleSignature Rule = "signature" // alg EdDSA, key known, signature good
	RuleAudience  Rule = "aud"       // holds Audience
	RuleIssuer    Rule = "iss"       // is the issuer that the relay trusts
	RuleTimes     Rule = "iat_exp"   // iat and exp are numbers
	RuleExpired   Rule = "exp"       // not past, Skew allowed
	RuleVersion   Rule = "ver"       // absent or 1
	RuleRole      Rule = "role"      // daemon or client
	RuleDaemonID  Rule = "did"       // a non-empty string
	RuleSubject   Rule = "sub"       // client: a non-empty string
	RuleSession   Rule = "sid"       // client: a valid session id
	RuleRegion    Rule = "region"    // absent or the relay's
	RuleLifetime  Rule = "lifetime"  // client: exp - iat at most MaxClientLifetime
	RuleAge       Rule = "age"       // issued at most VerifierConfig.MaxAge ago
	RuleScopes    Rule = "scp"       // array of strings; a client needs session:create
	RuleLimits    Rule = "lim"       // concurrent_sessions, if there, is an integer >= 1
)

// Rules returns all rules, in the order in which they are applied.
func Rules() []Rule {
	return []Rule{
		RuleFormat, RuleType, RuleKeyID, RuleSignature, RuleAudience, RuleIssuer, RuleTimes, RuleExpired, RuleVersion, RuleRole,
		RuleDaemonID, RuleSubject, RuleSession, RuleRegion, RuleLifetime, RuleAge, RuleScopes, RuleLimits,
	}
}

// Error is a refused token. Its code is always sbrp.CodeUnauthorized, whatever
// went wrong, a key server that cannot be reached included: a relay that cannot
// check a token does not know its bearer.
//
// Detail says what is wrong in words of this package; it holds nothing of the token.
type Error struct {
	Rule   Rule
	Detail string
	Cause  error // trouble with the key source; nil for a plain refusal
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("verify token: %s: %s: %v", e.Rule, e.Detail, e.Cause)
	}
	return fmt.Sprintf("verify token: %s: %s", e.Rule, e.Detail)
}

// Code is the control code to answer with: always sbrp.CodeUnauthorized.
func (e *Error) Code() sbrp.Code { return sbrp.CodeUnauthorized }

// Unwrap lets errors.Is find both the key source's trouble and
// &sbrp.Error{Code: sbrp.CodeUnauthorized}.
func (e *Error) Unwrap() []error {
	code := &sbrp.Error{Code: sbrp.CodeUnauthorized, Detail: e.Detail}
	if e.Cause == nil {
		return []error{code}
	}
	return []error{code, e.Cause}
}

func refuse(r Rule, format string, args ...any) *Error {
	return &Error{Rule: r, Detail: fmt.Sprintf(format, args...)}
}
