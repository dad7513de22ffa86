package token

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"culvert/sbrp"
)

// KeySource finds the public key that a token names. Key may block while it
// fetches; it returns [ErrUnknownKey] (wrapped or not) for a key that does not
// exist, any other error when it could not find out. It must be safe for
// concurrent use, and must return only keys that are meant for EdDSA signatures.
type KeySource interface {
	Key(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	Issuer string           // required: the only iss that passes
	Region string           // this relay's region; empty: tokens that name one are refused
	Keys   KeySource        // required
	MaxAge time.Duration    // of a token since its iat; 0: only its exp counts
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Verifier checks relay tokens. Its methods may run concurrently.
type Verifier struct {
	issuer string
	region string
	keys   KeySource
	maxAge time.Duration
	now    func() time.Time
	log    *slog.Logger
}

// NewVerifier makes a verifier.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.Issuer == "" {
		return nil, errors.New("make token verifier: Issuer is empty")
	}
	if cfg.Keys == nil {
		return nil, errors.New("make token verifier: Keys is nil")
	}
	if cfg.MaxAge < 0 {
		return nil, errors.New("make token verifier: MaxAge is negative")
	}
	v := &Verifier{
		issuer: cfg.Issuer,
		region: cfg.Region,
		keys:   cfg.Keys,
		maxAge: cfg.MaxAge,
		now:    cfg.Now,
		log:    cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
	}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

// Verify checks a token and returns what it says. It may block while the key
// source fetches. Every error is an [*Error], and means unauthorized.
//
// The order of the checks is that of spec section 7: length and three parts; typ;
// kid; signature with the key of that kid; aud; iss; iat and exp numbers; exp with
// 30 s of skew; ver; role; did; a client's sub and sid; region; a client's
// lifetime; age; scp; lim. Claims are parsed only after the signature has been found good.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	c, err := v.verify(ctx, raw)
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

func (v *Verifier) verify(ctx context.Context, raw string) (Claims, *Error) {
	t, err := split(raw)
	if err != nil {
		return Claims{}, err
	}
	if typ, _ := t.header.text("typ"); typ != Type {
		return Claims{}, refuse(RuleType, "must be %q", Type)
	}
	kid, _ := t.header.text("kid")
	if kid == "" {
		return Claims{}, refuse(RuleKeyID, "must be a non-empty string")
	}
	if err := v.checkSignature(ctx, t, kid); err != nil {
		return Claims{}, err
	}
	payload, err := t.claims()
	if err != nil {
		return Claims{}, err
	}
	c, err := checkClaims(payload, rules{issuer: v.issuer, region: v.region, now: v.now(), maxAge: v.maxAge})
	if err != nil {
		return Claims{}, err
	}
	if life := c.Expires.Sub(c.IssuedAt); c.Role == sbrp.RoleClient && life > ClientTTL {
		v.log.Warn("client token lives longer than it should", "lifetime", life, "most", ClientTTL)
	}
	return c, nil
}

func (v *Verifier) checkSignature(ctx context.Context, t parts, kid string) *Error {
	// The header's alg is held against one value before any key is touched, so that
	// it can never choose how the signature is checked.
	if alg, _ := t.header.text("alg"); alg != Algorithm {
		return refuse(RuleSignature, "alg must be %s", Algorithm)
	}
	sig, err := segment.DecodeString(t.signature)
	if err != nil {
		return refuse(RuleSignature, "must be base64url")
	}
	key, err := v.keys.Key(ctx, kid)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return refuse(RuleSignature, "no key of that kid")
	case err != nil:
		v.log.Warn("token signing keys are out of reach, token refused", "err", err)
		return &Error{Rule: RuleSignature, Detail: "signing keys out of reach", Cause: err}
	}
	if jwt.SigningMethodEdDSA.Verify(t.signed, sig, key) != nil {
		return refuse(RuleSignature, "bad signature")
	}
	return nil
}

// parts is a token taken apart; the claims are still bytes.
type parts struct {
	header    fields
	payload   string // base64url
	signature string // base64url
	signed    string // what the signature is over
}

// strict base64url without padding: one text per byte string, so that a token has
// one form.
var segment = base64.RawURLEncoding.Strict()

// split takes a token apart and parses its header.
func split(raw string) (parts, *Error) {
	if len(raw) > MaxLength {
		return parts{}, refuse(RuleFormat, "%d bytes, at most %d are allowed", len(raw), MaxLength)
	}
	segs := strings.SplitN(raw, ".", 4)
	if len(segs) != 3 {
		return parts{}, refuse(RuleFormat, "must have three parts")
	}
	// The base64 decoder skips line breaks; a token has none.
	if strings.ContainsAny(raw, "\r\n") {
		return parts{}, refuse(RuleFormat, "must be one line")
	}
	h, err := segment.DecodeString(segs[0])
	if err != nil {
		return parts{}, refuse(RuleFormat, "header must be base64url")
	}
	header, ok := parseObject(h)
	if !ok {
		return parts{}, refuse(RuleFormat, "header must be a JSON object")
	}
	if header.has("crit") { // RFC 7515: extensions that must be understood, and none is
		return parts{}, refuse(RuleFormat, "header must not hold crit")
	}
	return parts{
		header:    header,
		payload:   segs[1],
		signed:    raw[:len(segs[0])+1+len(segs[1])],
		signature: segs[2],
	}, nil
}

func (t parts) claims() (fields, *Error) {
	p, err := segment.DecodeString(t.payload)
	if err != nil {
		return nil, refuse(RuleFormat, "claims must be base64url")
	}
	f, ok := parseObject(p)
	if !ok {
		return nil, refuse(RuleFormat, "claims must be a JSON object")
	}
	return f, nil
}
