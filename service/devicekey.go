package service

import (
	"context"
	"errors"

	"culvert/config"
	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// KeyStatus is what is known of this machine's device key without its passphrase.
type KeyStatus struct {
	Key         sbrp.PublicKey   `json:"key"`
	Fingerprint sbrp.Fingerprint `json:"fingerprint"`
	Protected   bool             `json:"protected"` // by a passphrase
}

// DeviceKey tells about the device key, which is made if there is none yet.
func DeviceKey(c Common) (KeyStatus, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return KeyStatus{}, err
	}
	defer dir.Close()
	k, err := dir.KeyInfo()
	if err != nil {
		return KeyStatus{}, keyError(err)
	}
	return KeyStatus{Key: k.Public, Fingerprint: k.Public.Fingerprint(), Protected: k.Protected}, nil
}

// ProtectOptions change how the device key is protected.
type ProtectOptions struct {
	Common // whose Passphrase gets the present passphrase, if there is one
	// Next gets the new passphrase; nil: there shall be none any more.
	Next func(context.Context) (config.Secret, error)
}

// ProtectKey sets, changes or removes the passphrase of the device key. Whatever goes
// wrong, the key stays as it was. Processes that run go on.
func ProtectKey(ctx context.Context, o ProtectOptions) (KeyStatus, error) {
	dir, err := openDir(o.StateDir)
	if err != nil {
		return KeyStatus{}, err
	}
	defer dir.Close()
	book, err := openLedger(ctx, dir, o.Logger)
	if err != nil {
		return KeyStatus{}, err
	}
	defer book.close()
	key, err := dir.ProtectIdentity(o.passphrase(ctx), bind(ctx, o.Next))
	if err != nil {
		return KeyStatus{}, keyError(err)
	}
	act := actKeyChanged
	if o.Next == nil {
		act = actKeyOpen
	}
	book.write(act, "key", key.String())
	return KeyStatus{Key: key, Fingerprint: key.Fingerprint(), Protected: o.Next != nil}, nil
}

// passphrase is c.Passphrase as package config wants it.
func (c Common) passphrase(ctx context.Context) config.PassphraseFunc { return bind(ctx, c.Passphrase) }

func bind(ctx context.Context, f func(context.Context) (config.Secret, error)) config.PassphraseFunc {
	if f == nil {
		return nil
	}
	return func() (config.Secret, error) { return f(ctx) }
}

// keyError is why there is no device key to use.
func keyError(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Code: CodeConfig, Name: "device_key", Err: err}
	switch {
	case errors.Is(err, config.ErrPassphraseNeeded):
		e.Name, e.Mend = "passphrase_needed", "give --passphrase-file FILE (or CULVERT_PASSPHRASE_FILE), or run it on a terminal, which is asked"
	case errors.Is(err, config.ErrPassphraseWrong):
		e.Name, e.Mend = "passphrase_wrong", "try again; nothing was changed"
	}
	return e
}

// unlocked is the key of a context in which a running process carries out a command.
type unlocked struct{}

// withKey lets commands in ctx use the device key that this process has unlocked already:
// who sends them cannot be asked for its passphrase.
func (m *machine) withKey(ctx context.Context) context.Context {
	return context.WithValue(ctx, unlocked{}, m)
}

// unlockedKey is the key of the process that carries out a command on its own state
// directory; nil: there is none.
func unlockedKey(ctx context.Context, dir *config.Dir) *e2ee.Identity {
	if m, ok := ctx.Value(unlocked{}).(*machine); ok && m.dir.Path() == dir.Path() {
		return m.identity
	}
	return nil
}
