package token

import (
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"culvert/sbrp"
)

// Signer mints tokens with one signing key. Its methods may run concurrently.
type Signer struct {
	kid string
	key crypto.Signer
}

// NewSigner makes a signer. The key must be Ed25519 (its private half may live
// elsewhere); kid is the name under which the JWKS document shows the public half.
func NewSigner(kid string, key crypto.Signer) (*Signer, error) {
	if kid == "" {
		return nil, errors.New("make token signer: kid is empty")
	}
	if key == nil {
		return nil, errors.New("make token signer: key is nil")
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return nil, fmt.Errorf("make token signer: key is %T, must be Ed25519", key.Public())
	}
	return &Signer{kid: kid, key: key}, nil
}

// KeyID is the kid of the tokens that this signer mints.
func (s *Signer) KeyID() string { return s.kid }

// Mint makes a token. The claims are held to the rules that the relay will apply,
// so that no token leaves that a relay must refuse; times are cut to seconds.
func (s *Signer) Mint(c Claims) (string, error) {
	m := claimsMap(c)
	payload, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	f, _ := parseObject(payload) // a map always makes an object
	if _, err := checkClaims(f, rules{issuer: c.Issuer, region: c.Region, now: c.IssuedAt}); err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if c.Issuer == "" || c.ID == "" {
		return "", errors.New("mint token: issuer and id must not be empty")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, m)
	t.Header["typ"] = Type
	t.Header["kid"] = s.kid
	raw, err := t.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if len(raw) > MaxLength {
		return "", fmt.Errorf("mint token: %d bytes, at most %d fit", len(raw), MaxLength)
	}
	return raw, nil
}

func claimsMap(c Claims) jwt.MapClaims {
	m := jwt.MapClaims{
		"iss":  c.Issuer,
		"aud":  Audience,
		"exp":  c.Expires.Unix(),
		"iat":  c.IssuedAt.Unix(),
		"jti":  c.ID,
		"ver":  1,
		"role": c.Role.String(),
		"did":  c.DaemonID,
		"scp":  append([]string{}, c.Scopes...), // [] and not null when empty
	}
	switch len(c.Audience) {
	case 0:
	case 1:
		m["aud"] = c.Audience[0]
	default:
		m["aud"] = c.Audience
	}
	if c.Subject != "" {
		m["sub"] = c.Subject
	}
	if c.Role == sbrp.RoleClient {
		m["sid"] = c.SessionID.String()
	}
	if c.Region != "" {
		m["region"] = c.Region
	}
	if c.Account != "" {
		m["acct"] = c.Account
	}
	if c.MaxSessions != 0 {
		m["lim"] = map[string]int{"concurrent_sessions": c.MaxSessions}
	}
	return m
}
