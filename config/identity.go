package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"culvert/config/private"
	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// identityFile holds the device key in text form: comment lines, and one line that
// begins with a kind. The kind keeps a file of another program, or of a later culvert,
// from being taken for a key.
//
//	culvert-device-key-v1 SEED          the 32-byte seed in unpadded base64url
//	culvert-device-key-v2 PUBLIC SEALED the public key, and what seal.go makes, the same
const (
	identityFile = "identity.key"
	identityKind = "culvert-device-key-v1"
	sealedKind   = "culvert-device-key-v2"
)

const identityHeader = "# culvert device key. Keep it secret: whoever has this file is this machine.\n"

// PassphraseFunc gets the passphrase of the device key: from a file, or from a person.
// It may block.
type PassphraseFunc func() (Secret, error)

// Identity returns the device key; it is made on first use. A file that other
// users can read is refused with a *PermissionError. A damaged file is an
// error and is never replaced: the machine would become a stranger to
// everybody who trusts it. A key that is protected by a passphrase is
// ErrPassphraseNeeded: see UnlockIdentity.
func (d *Dir) Identity() (*e2ee.Identity, error) { return d.UnlockIdentity(nil) }

// UnlockIdentity is Identity for a key that may be protected by a passphrase, which
// ask is called for then, without any lock. A wrong one is ErrPassphraseWrong. ask may
// be nil. Unlocking takes some tenths of a second and 128 MiB.
func (d *Dir) UnlockIdentity(ask PassphraseFunc) (*e2ee.Identity, error) {
	data, err := d.ReadSecret(identityFile)
	if isMissing(err) {
		return d.makeIdentity(ask)
	}
	if err != nil {
		return nil, err
	}
	defer clear(data)
	id, err := d.unlock(data, ask)
	if err != nil {
		return nil, err
	}
	return id, nil
}

// unlock reads the file's content.
func (d *Dir) unlock(data []byte, ask PassphraseFunc) (*e2ee.Identity, error) {
	k, err := parseKey(data)
	if err == nil && k.identity == nil {
		k.identity, err = k.open(ask)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.File(identityFile), err)
	}
	return k.identity, nil
}

// makeIdentity makes the key under the lock, so that of two processes that
// start at once both use the same one.
func (d *Dir) makeIdentity(ask PassphraseFunc) (id *e2ee.Identity, err error) {
	err = d.update(identityFile, private.Secret, func(old []byte) ([]byte, error) {
		if old != nil { // another process was first
			id, err = d.unlock(old, ask)
			return old, err
		}
		id = e2ee.GenerateIdentity()
		return formatIdentity(id), nil
	})
	if err != nil {
		return nil, err
	}
	return id, nil
}

// KeyInfo is what can be known of the device key without its passphrase.
type KeyInfo struct {
	Public    sbrp.PublicKey
	Protected bool // by a passphrase
}

// KeyInfo tells about the device key, which is made on first use. That the public key
// of a protected one is the right one is checked when it is unlocked.
func (d *Dir) KeyInfo() (KeyInfo, error) {
	data, err := d.ReadSecret(identityFile)
	if isMissing(err) {
		id, err := d.Identity()
		if err != nil {
			return KeyInfo{}, err
		}
		return KeyInfo{Public: id.PublicKey()}, nil
	}
	if err != nil {
		return KeyInfo{}, err
	}
	defer clear(data)
	k, err := parseKey(data)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("read %s: %w", d.File(identityFile), err)
	}
	return KeyInfo{Public: k.public, Protected: k.identity == nil}, nil
}

// storedKey is the content of the key's file.
type storedKey struct {
	public   sbrp.PublicKey
	identity *e2ee.Identity // nil: it is sealed
	sealed   []byte
}

func formatIdentity(id *e2ee.Identity) []byte {
	seed := id.Seed()
	defer clear(seed) // best effort: the text holds it too
	return fmt.Appendf(nil, "%s%s %s\n", identityHeader, identityKind, base64.RawURLEncoding.EncodeToString(seed))
}

// parseKey reads the text form. Its errors never hold any of it.
func parseKey(data []byte) (storedKey, error) {
	var text string
	for i, l := range lines(data) {
		if isComment(l) {
			continue
		}
		if text != "" {
			return storedKey{}, fmt.Errorf("line %d: more than one key in the file", i+1)
		}
		text = strings.TrimSpace(l)
	}
	kind, value, _ := strings.Cut(text, " ")
	value = strings.TrimSpace(value)
	switch {
	case text == "":
		return storedKey{}, errors.New("the file holds no key: restore it from a backup, or remove it to become a new device")
	case kind == identityKind:
		return parseSeed(value)
	case kind == sealedKind:
		return parseSealed(value)
	}
	return storedKey{}, fmt.Errorf("not a device key of this version: expected a line that begins with %q or %q", identityKind, sealedKind)
}

func parseSeed(value string) (storedKey, error) {
	seed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	defer clear(seed)
	if err != nil || len(seed) != 32 {
		return storedKey{}, errors.New("the key is damaged: expected 43 characters of base64url")
	}
	id, err := e2ee.ParseIdentity(seed)
	if err != nil {
		return storedKey{}, errors.New("the key is damaged") // the cause might quote it
	}
	return storedKey{public: id.PublicKey(), identity: id}, nil
}
