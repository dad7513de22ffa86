package config

import (
	"errors"
	"fmt"
	"time"

	"culvert/config/private"
	"culvert/sbrp"
)

var (
	// ErrNotFound: no entry has that name, id, key or lookup.
	ErrNotFound = errors.New("not found")
	// ErrNameTaken: another key has that name.
	ErrNameTaken = errors.New("another client has this name")
	// ErrLocked: another process has held the state directory's lock for too long.
	ErrLocked = errors.New("state directory is locked by another culvert process")
	// ErrNotEnrolled: this device is not enrolled at a control plane.
	ErrNotEnrolled = errors.New("this device is not enrolled at a control plane")
	// ErrPassphraseNeeded: the device key is protected, and nobody can be asked for its passphrase.
	ErrPassphraseNeeded = errors.New("the device key is protected by a passphrase")
	// ErrPassphraseWrong: the device key is protected by another passphrase.
	ErrPassphraseWrong = errors.New("the passphrase of the device key is wrong")
	// ErrNoPairing: no pending pairing fits: there was none, or it is used or expired.
	ErrNoPairing = errors.New("no pending pairing code fits")
)

// Denial says why a client may not reach a target.
type Denial string

const (
	// NotAuthorized: no line grants this key anything.
	NotAuthorized Denial = "not_authorized"
	// Expired: the grant's time is over.
	Expired Denial = "expired"
	// TargetNotGranted: the key is granted other targets, not this one.
	TargetNotGranted Denial = "target"
)

// DeniedError is the answer to a client that may not reach a target.
type DeniedError struct {
	Reason  Denial
	Client  sbrp.Fingerprint
	Name    string    // the client's name in authorized_clients, if it has one
	Target  string    // the target asked for; empty when the whole client was asked about
	Expired time.Time // set when Reason is Expired
}

// Error is for the daemon's own log.
func (e *DeniedError) Error() string {
	who := e.Client.Short()
	if e.Name != "" {
		who = fmt.Sprintf("%s (%s)", e.Name, who)
	}
	switch e.Reason {
	case Expired:
		return fmt.Sprintf("client %s: grant expired at %s", who, e.Expired.UTC().Format(time.RFC3339))
	case TargetNotGranted:
		return fmt.Sprintf("client %s: target %q is not granted", who, e.Target)
	default:
		return fmt.Sprintf("client %s: not authorized", who)
	}
}

// Denied is the reason as a word that may be told to the client: it names
// nothing that the client does not know.
func (e *DeniedError) Denied() string { return string(e.Reason) }

// KeyChangedError: a known daemon showed a key that is not the pinned one.
type KeyChangedError struct {
	Name   string
	ID     string
	Pinned sbrp.PublicKey
	Got    sbrp.PublicKey
}

func (e *KeyChangedError) Error() string {
	return fmt.Sprintf("identity of daemon %q has changed: pinned %s, got %s; if its owner says that this is right, run `culvert trust forget %s` and pair again",
		e.Name, e.Pinned.Fingerprint(), e.Got.Fingerprint(), e.Name)
}

// PermissionError: others on this machine can read a secret or change who is
// trusted. Mend is the command that puts it right.
type PermissionError = private.Error

// LineError is one line of a file that cannot be understood. The text never
// holds the line's content beyond the word that is wrong, and never a key.
type LineError struct {
	File   string // the file's path, or its name inside the state directory
	Line   int    // from 1
	Column int    // from 1, in characters; 0 when the whole line is meant
	Msg    string
}

func (e *LineError) Error() string {
	if e.Column > 0 {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}
