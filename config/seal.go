package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"filippo.io/age"

	"culvert/config/private"
	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// A sealed device key is a file of the age format (age-encryption.org/v1) for a
// passphrase: scrypt and ChaCha20-Poly1305, by the library that defines them. What is
// sealed is the text of an unprotected key's file, so that a key can be had back without
// culvert too:
//
//	grep ^culvert identity.key | cut -d' ' -f3 | basenc -d --base64url | age -d > identity.key.open

const (
	// mostSealWork bounds the factor of a file that is read: 1 GiB.
	mostSealWork = 20
	// maxSealed bounds the sealed text, in bytes; it has under 500.
	maxSealed = 4096
	// MinPassphrase is the length of the shortest passphrase, in bytes.
	MinPassphrase = 8
)

// parseSealed reads what follows the kind of a sealed key.
func parseSealed(value string) (storedKey, error) {
	damaged := errors.New("the protected key is damaged: restore it from a backup")
	public, text, ok := strings.Cut(value, " ")
	var k storedKey
	if !ok || k.public.UnmarshalText([]byte(public)) != nil || k.public.IsZero() {
		return storedKey{}, damaged
	}
	var err error
	if k.sealed, err = base64.RawURLEncoding.Strict().DecodeString(text); err != nil || len(k.sealed) > maxSealed || len(k.sealed) == 0 {
		return storedKey{}, damaged
	}
	return k, nil
}

// open unlocks a sealed key.
func (k storedKey) open(ask PassphraseFunc) (*e2ee.Identity, error) {
	if ask == nil {
		return nil, ErrPassphraseNeeded
	}
	passphrase, err := ask()
	if err != nil {
		return nil, err
	}
	return k.openWith(passphrase)
}

func (k storedKey) openWith(passphrase Secret) (*e2ee.Identity, error) {
	if passphrase.IsZero() {
		return nil, ErrPassphraseWrong
	}
	by, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return nil, err
	}
	by.SetMaxWorkFactor(mostSealWork)
	defer debug.FreeOSMemory() // what scrypt took is not needed again
	r, err := age.Decrypt(bytes.NewReader(k.sealed), by)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, ErrPassphraseWrong
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(r, maxSealed))
	}
	defer clear(text)
	if err != nil {
		return nil, fmt.Errorf("the protected key is damaged: %w", err)
	}
	open, err := parseKey(text)
	if err != nil || open.identity == nil || !open.public.Equal(k.public) {
		return nil, errors.New("the protected key is damaged: what is in it is not the key that the file names")
	}
	return open.identity, nil
}

// seal makes the file's content of a key for a passphrase.
func seal(id *e2ee.Identity, passphrase Secret, work int) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase.Reveal())
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(work)
	defer debug.FreeOSMemory() // what scrypt took is not needed again
	text := formatIdentity(id)
	defer clear(text)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	return formatSealed(id.PublicKey(), sealed.Bytes()), nil
}

func formatSealed(public sbrp.PublicKey, sealed []byte) []byte {
	return fmt.Appendf(nil, "%s# It is protected by a passphrase: see culvert key passphrase --help.\n%s %s %s\n",
		identityHeader, sealedKind, public, base64.RawURLEncoding.EncodeToString(sealed))
}

// CheckPassphrase tells whether a new passphrase is long enough.
func CheckPassphrase(p Secret) error {
	if len(p.Reveal()) < MinPassphrase {
		return fmt.Errorf("the passphrase is shorter than %d characters", MinPassphrase)
	}
	return nil
}

// ProtectIdentity seals the device key, which is made if there is none, for a new
// passphrase, or, if next is nil, leaves it unprotected. now is asked for the present
// passphrase, if there is one, and then next for the new one, both without any lock. A
// crash at any moment leaves the old or the new file; the new one is tried before it
// takes the old one's place. Other processes that have unlocked the key go on with it.
func (d *Dir) ProtectIdentity(now, next PassphraseFunc) (sbrp.PublicKey, error) {
	id, err := d.UnlockIdentity(now)
	if err != nil {
		return sbrp.PublicKey{}, err
	}
	data := formatIdentity(id)
	if next != nil {
		if data, err = d.sealNext(id, next); err != nil {
			return sbrp.PublicKey{}, err
		}
	}
	defer clear(data)
	err = d.update(identityFile, private.Secret, func(old []byte) ([]byte, error) {
		k, err := parseKey(old)
		if err == nil && !k.public.Equal(id.PublicKey()) {
			err = errors.New("another key took its place meanwhile")
		}
		if err != nil {
			return nil, fmt.Errorf("protect %s: %w", d.File(identityFile), err)
		}
		return data, nil
	})
	if err != nil {
		return sbrp.PublicKey{}, err
	}
	return id.PublicKey(), nil
}

// sealNext asks for the new passphrase and seals the key, and opens it again.
func (d *Dir) sealNext(id *e2ee.Identity, next PassphraseFunc) ([]byte, error) {
	passphrase, err := next()
	if err == nil {
		err = CheckPassphrase(passphrase)
	}
	if err != nil {
		return nil, err
	}
	data, err := seal(id, passphrase, d.sealWork)
	if err != nil {
		return nil, fmt.Errorf("seal the device key: %w", err)
	}
	k, err := parseKey(data)
	if err == nil {
		_, err = k.openWith(passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("seal the device key: %w", err)
	}
	return data, nil
}
