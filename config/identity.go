package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"culvert/config/private"
	"culvert/sbrp/e2ee"
)

// identityFile holds the device key in text form: comment lines, and one line
// of a kind and the 32-byte seed in unpadded base64url. The kind keeps a file
// of another program, or of a later culvert, from being taken for a seed.
const (
	identityFile = "identity.key"
	identityKind = "culvert-device-key-v1"
)

const identityHeader = "# culvert device key. Keep it secret: whoever has this file is this machine.\n"

// Identity returns the device key; it is made on first use. A file that other
// users can read is refused with a *PermissionError. A damaged file is an
// error and is never replaced: the machine would become a stranger to
// everybody who trusts it.
func (d *Dir) Identity() (*e2ee.Identity, error) {
	data, err := d.ReadSecret(identityFile)
	if isMissing(err) {
		return d.makeIdentity()
	}
	if err != nil {
		return nil, err
	}
	id, err := parseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.File(identityFile), err)
	}
	return id, nil
}

// makeIdentity makes the key under the lock, so that of two processes that
// start at once both use the same one.
func (d *Dir) makeIdentity() (id *e2ee.Identity, err error) {
	err = d.update(identityFile, private.Secret, func(old []byte) ([]byte, error) {
		if old != nil { // another process was first
			if id, err = parseIdentity(old); err != nil {
				return nil, fmt.Errorf("read %s: %w", d.File(identityFile), err)
			}
			return old, nil
		}
		id = e2ee.GenerateIdentity()
		return formatIdentity(id), nil
	})
	if err != nil {
		return nil, err
	}
	return id, nil
}

func formatIdentity(id *e2ee.Identity) []byte {
	seed := id.Seed()
	defer clear(seed) // best effort: the text holds it too
	return fmt.Appendf(nil, "%s%s %s\n", identityHeader, identityKind, base64.RawURLEncoding.EncodeToString(seed))
}

// parseIdentity reads the text form. Its errors never hold any of it.
func parseIdentity(data []byte) (*e2ee.Identity, error) {
	var text string
	for i, l := range lines(data) {
		if isComment(l) {
			continue
		}
		if text != "" {
			return nil, fmt.Errorf("line %d: more than one key in the file", i+1)
		}
		text = strings.TrimSpace(l)
	}
	kind, value, ok := strings.Cut(text, " ")
	switch {
	case text == "":
		return nil, errors.New("the file holds no key: restore it from a backup, or remove it to become a new device")
	case !ok || kind != identityKind:
		return nil, fmt.Errorf("not a device key of this version: expected a line that begins with %q", identityKind)
	}
	seed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimSpace(value))
	defer clear(seed)
	if err != nil || len(seed) != 32 {
		return nil, errors.New("the key is damaged: expected 43 characters of base64url")
	}
	id, err := e2ee.ParseIdentity(seed)
	if err != nil {
		return nil, errors.New("the key is damaged") // the cause might quote it
	}
	return id, nil
}
