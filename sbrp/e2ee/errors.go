package e2ee

import (
	"errors"
	"fmt"

	"culvert/sbrp"
)

// ErrExhausted is Seal's error when the direction has used up its sequence numbers (section 4). The session must end; a new handshake makes new keys.
var ErrExhausted = errors.New("e2ee: sequence numbers exhausted, the session needs a new handshake")

// IdentityChangedError is Finish's error when the daemon's identity key is not the expected one. It wraps an *sbrp.Error with
// identity_key_changed. Show both fingerprints and stop; go on only after a person has said so (section 9).
type IdentityChangedError struct {
	Expected sbrp.PublicKey // the pin, or the control plane's key on first contact
	Got      sbrp.PublicKey // what the daemon, or someone in its place, sent; unverified
}

// Error names both keys by their fingerprints.
func (e *IdentityChangedError) Error() string {
	return fmt.Sprintf("%v: expected %v, got %v", sbrp.CodeIdentityKeyChanged, e.Expected.Fingerprint(), e.Got.Fingerprint())
}

// Unwrap returns the *sbrp.Error.
func (e *IdentityChangedError) Unwrap() error {
	return &sbrp.Error{Code: sbrp.CodeIdentityKeyChanged}
}

func failed(c sbrp.Code, format string, args ...any) error {
	return &sbrp.Error{Code: c, Detail: fmt.Sprintf(format, args...)}
}
