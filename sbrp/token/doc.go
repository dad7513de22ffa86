// Package token issues and checks relay tokens: the JWTs by which a relay knows
// who connects (spec section 7).
//
// The control plane mints with a [Signer]; the relay checks with a [Verifier],
// which takes its keys from a [KeySource]: [Keys] in the same process, or
// [RemoteKeys] from the issuer's JWKS document over HTTP.
//
// The package is fail-closed: every missing or odd parameter is an [*Error],
// which always means "unauthorized" and never holds the token or a part of it.
package token
