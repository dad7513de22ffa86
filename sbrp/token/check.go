package token

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"culvert/sbrp"
)

// rules is what claims are checked against.
type rules struct {
	issuer string
	region string
	now    time.Time
	maxAge time.Duration // 0: any
}

// fields are the members of a JSON object by their exact names. (Decoding into a
// struct would also take "EXP" for exp.)
type fields map[string]json.RawMessage

// parseObject parses a JSON object; anything else, null included, is false.
func parseObject(raw []byte) (fields, bool) {
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil || f == nil {
		return nil, false
	}
	return f, true
}

// text is the member as a string; null and other kinds are false.
func (f fields) text(name string) (string, bool) {
	var s *string
	if json.Unmarshal(f[name], &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// number is the member as a finite number.
func (f fields) number(name string) (float64, bool) {
	var n *float64
	if json.Unmarshal(f[name], &n) != nil || n == nil {
		return 0, false
	}
	return *n, true
}

// integer is the member as a whole number that fits an int32 (1.0 counts: JSON has one kind of number).
func (f fields) integer(name string) (int, bool) {
	n, ok := f.number(name)
	if !ok || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return 0, false
	}
	return int(n), true
}

// instant is the member as a NumericDate: seconds since 1970, a fraction allowed.
// Beyond the year 9999 it is not a date that anything else can carry.
func (f fields) instant(name string) (time.Time, bool) {
	const year9999 = 253402300799
	n, ok := f.number(name)
	if !ok || n < 0 || n > year9999 {
		return time.Time{}, false
	}
	whole, frac := math.Modf(n)
	return time.Unix(int64(whole), int64(frac*1e9)), true
}

// strings is the member as an array of strings.
func (f fields) strings(name string) ([]string, bool) {
	var l []*string
	if json.Unmarshal(f[name], &l) != nil || l == nil || slices.Contains(l, nil) {
		return nil, false
	}
	s := make([]string, len(l))
	for i := range l {
		s[i] = *l[i]
	}
	return s, true
}

func (f fields) has(name string) bool { _, ok := f[name]; return ok }

// checkClaims applies the rules of spec section 7 that follow the signature, in
// the spec's order: aud; iss; iat and exp numbers; exp; ver; role; did; client
// sub and sid; region; client lifetime; age, which is ours; scp; lim.
func checkClaims(f fields, r rules) (Claims, *Error) {
	var c Claims
	for _, check := range []func(*Claims, fields, rules) *Error{
		checkAudience, checkIssuer, checkTimes, checkExpired, checkVersion, checkRole, checkDaemonID,
		checkClient, checkRegion, checkLifetime, checkAge, checkScopes, checkLimits,
	} {
		if err := check(&c, f, r); err != nil {
			return Claims{}, err
		}
	}
	c.ID, _ = f.text("jti")       // names the token in logs; nothing is decided by it
	c.Account, _ = f.text("acct") // our own: see Claims
	return c, nil
}

func checkAudience(c *Claims, f fields, _ rules) *Error {
	if one, ok := f.text("aud"); ok {
		c.Audience = []string{one}
	} else if c.Audience, ok = f.strings("aud"); !ok {
		return refuse(RuleAudience, "must be a string or an array of strings")
	}
	if !slices.Contains(c.Audience, Audience) {
		return refuse(RuleAudience, "must hold %q", Audience)
	}
	return nil
}

func checkIssuer(c *Claims, f fields, r rules) *Error {
	iss, ok := f.text("iss")
	if !ok || iss != r.issuer {
		return refuse(RuleIssuer, "must be %q", r.issuer)
	}
	c.Issuer = iss
	return nil
}

func checkTimes(c *Claims, f fields, _ rules) *Error {
	var ok bool
	if c.IssuedAt, ok = f.instant("iat"); !ok {
		return refuse(RuleTimes, "iat must be a number of seconds since 1970")
	}
	if c.Expires, ok = f.instant("exp"); !ok {
		return refuse(RuleTimes, "exp must be a number of seconds since 1970")
	}
	return nil
}

func checkExpired(c *Claims, _ fields, r rules) *Error {
	if !r.now.Before(c.Expires.Add(Skew)) {
		return refuse(RuleExpired, "expired %s ago", r.now.Sub(c.Expires).Round(time.Second))
	}
	return nil
}

func checkVersion(_ *Claims, f fields, _ rules) *Error {
	if !f.has("ver") {
		return nil
	}
	if v, ok := f.integer("ver"); !ok || v != 1 {
		return refuse(RuleVersion, "must be 1 or absent")
	}
	return nil
}

func checkRole(c *Claims, f fields, _ rules) *Error {
	switch role, _ := f.text("role"); role {
	case sbrp.RoleClient.String():
		c.Role = sbrp.RoleClient
	case sbrp.RoleDaemon.String():
		c.Role = sbrp.RoleDaemon
	default:
		return refuse(RuleRole, "must be daemon or client")
	}
	return nil
}

func checkDaemonID(c *Claims, f fields, _ rules) *Error {
	if c.DaemonID, _ = f.text("did"); c.DaemonID == "" {
		return refuse(RuleDaemonID, "must be a non-empty string")
	}
	return nil
}

func checkClient(c *Claims, f fields, _ rules) *Error {
	c.Subject, _ = f.text("sub")
	if c.Role != sbrp.RoleClient {
		return nil
	}
	if c.Subject == "" {
		return refuse(RuleSubject, "must be a non-empty string in a client's token")
	}
	sid, ok := f.text("sid")
	if !ok {
		return refuse(RuleSession, "must be a string in a client's token")
	}
	id, err := sbrp.ParseSessionID(sid)
	if err != nil || id == 0 {
		return refuse(RuleSession, "must be a session id: 8 bytes in base64url, not zero")
	}
	c.SessionID = id
	return nil
}

func checkRegion(c *Claims, f fields, r rules) *Error {
	if !f.has("region") {
		return nil
	}
	region, ok := f.text("region")
	if !ok || region != r.region {
		return refuse(RuleRegion, "must be this relay's region %q or absent", r.region)
	}
	c.Region = region
	return nil
}

// checkLifetime bounds a client's token. The spec gives the upper bound; a token
// that ends before it begins is odd, and odd is refused.
func checkLifetime(c *Claims, _ fields, _ rules) *Error {
	if c.Role != sbrp.RoleClient {
		return nil
	}
	if life := c.Expires.Sub(c.IssuedAt); life <= 0 || life > MaxClientLifetime {
		return refuse(RuleLifetime, "exp - iat is %s, a client's may be %s at most", life.Round(time.Second), MaxClientLifetime)
	}
	return nil
}

// checkAge is a relay's own rule: however long a control plane makes its tokens, one that
// was stolen serves nobody for longer than that.
func checkAge(c *Claims, _ fields, r rules) *Error {
	if age := r.now.Sub(c.IssuedAt); r.maxAge > 0 && age > r.maxAge+Skew {
		return refuse(RuleAge, "issued %s ago, at most %s are allowed", age.Round(time.Second), r.maxAge)
	}
	return nil
}

func checkScopes(c *Claims, f fields, _ rules) *Error {
	if f.has("scp") {
		all, ok := f.strings("scp")
		if !ok {
			return refuse(RuleScopes, "must be an array of strings")
		}
		c.Scopes = slices.DeleteFunc(all, func(s string) bool { return !knownScope(s) })
	}
	if c.Role == sbrp.RoleClient && !c.HasScope(ScopeSessionCreate) {
		return refuse(RuleScopes, "a client's token needs %s", ScopeSessionCreate)
	}
	return nil
}

func checkLimits(c *Claims, f fields, _ rules) *Error {
	if !f.has("lim") {
		return nil
	}
	lim, ok := parseObject(f["lim"])
	if !ok {
		return refuse(RuleLimits, "must be an object")
	}
	if !lim.has("concurrent_sessions") {
		return nil
	}
	if c.MaxSessions, ok = lim.integer("concurrent_sessions"); !ok || c.MaxSessions < 1 {
		return refuse(RuleLimits, "concurrent_sessions must be an integer of at least 1")
	}
	return nil
}
