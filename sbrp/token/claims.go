package token

import (
	"slices"
	"time"

	"culvert/sbrp"
)

// Words of spec section 7.
const (
	Audience  = "sideband-relay" // aud holds it
	Type      = "sbrp-relay+jwt" // header typ
	Algorithm = "EdDSA"          // header alg and the key's own alg

	ScopeSessionCreate = "session:create" // a client may open its session
	ScopeSessionResume = "session:resume" // a daemon may resume its sessions within the grace period

	MaxLength         = 4096              // bytes of a whole token
	Skew              = 30 * time.Second  // how long after exp a token still passes
	MaxClientLifetime = 300 * time.Second // exp - iat of a client's token
	ClientTTL         = 120 * time.Second // what a control plane gives a client; longer is accepted with a warning
	PresenceTTL       = time.Hour         // the least that a control plane gives a daemon
)

// Claims is what a relay token says.
type Claims struct {
	Issuer      string         // iss: base URL of the control plane
	Audience    []string       // aud; Mint takes none as [Audience] alone
	Expires     time.Time      // exp
	IssuedAt    time.Time      // iat
	ID          string         // jti
	Subject     string         // sub: the client's device; optional for a daemon
	Role        sbrp.Role      // role: RoleClient or RoleDaemon
	DaemonID    string         // did
	SessionID   sbrp.SessionID // sid: clients only
	Scopes      []string       // scp, without those that this version does not know
	Region      string         // region; empty: any relay
	MaxSessions int            // lim.concurrent_sessions; 0: no limit of the token's own
	// Account is acct, a claim of this project: whose connections a relay counts together.
	// It is no name, only the same for all of one account; empty: none is said.
	Account string
}

// HasScope says whether the token grants a scope. Absence denies.
func (c Claims) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

func knownScope(s string) bool {
	return s == ScopeSessionCreate || s == ScopeSessionResume
}
