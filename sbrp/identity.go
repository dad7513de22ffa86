package sbrp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// PublicKey is an Ed25519 public key: a daemon's identity, or a client's device key. It is not secret, and comparable. The zero value is no key.
type PublicKey [KeySize]byte

// String returns the key as base64url without padding, the form of every JSON document and file. People compare the Fingerprint.
func (k PublicKey) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// MarshalText returns the form of String.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is ParsePublicKey. k is unchanged on error.
func (k *PublicKey) UnmarshalText(text []byte) error {
	v, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = v
	return nil
}

// ParsePublicKey parses a key in base64: the URL or the standard alphabet (not both in one text), with or without padding, nothing before or
// behind. The error does not repeat the text: it may be a private key, pasted by mistake.
func ParsePublicKey(s string) (PublicKey, error) {
	const text = 43 // of 32 bytes without padding
	if len(s) == text+1 && s[text] == '=' {
		s = s[:text]
	}
	if len(s) != text {
		return PublicKey{}, fmt.Errorf("parse public key: %d characters, want %d of base64", len(s), text)
	}
	enc := base64.RawURLEncoding
	if strings.ContainsAny(s, "+/") {
		enc = base64.RawStdEncoding
	}
	b, err := enc.Strict().DecodeString(s)
	if err != nil || len(b) != KeySize {
		return PublicKey{}, errors.New("parse public key: not the base64 of 32 bytes")
	}
	return PublicKey(b), nil
}

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Equal reports whether the keys are the same, in constant time.
func (k PublicKey) Equal(other PublicKey) bool {
	return subtle.ConstantTimeCompare(k[:], other[:]) == 1
}

// Fingerprint returns the key's fingerprint.
func (k PublicKey) Fingerprint() Fingerprint { return Fingerprint(sha256.Sum256(k[:])) }

// Fingerprint is the SHA-256 of a public key, what people compare (section 9).
type Fingerprint [sha256.Size]byte

// String returns SHA256: and the bytes as upper-case hex pairs joined by colons, as the published library prints it.
func (f Fingerprint) String() string { return fingerprintHead + colonHex(f[:]) }

// Short returns the first 8 bytes as upper-case hex pairs joined by colons: enough to tell keys apart in a log, not to trust one.
func (f Fingerprint) Short() string { return colonHex(f[:8]) }

// MarshalText returns the form of String.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is ParseFingerprint. f is unchanged on error.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	v, err := ParseFingerprint(string(text))
	if err != nil {
		return err
	}
	*f = v
	return nil
}

// Equal reports whether the fingerprints are the same, in constant time.
func (f Fingerprint) Equal(other Fingerprint) bool {
	return subtle.ConstantTimeCompare(f[:], other[:]) == 1
}

// ParseFingerprint parses what a person typed or pasted: 32 hex pairs in either case, all of them joined by colons or none, with or without
// SHA256: in front, spaces around it ignored. A part of a fingerprint is refused, whatever its length.
func ParseFingerprint(s string) (Fingerprint, error) {
	s = strings.TrimSpace(s)
	if n := len(fingerprintHead); len(s) >= n && strings.EqualFold(s[:n], fingerprintHead) {
		s = s[n:]
	}
	const plain, joined = 2 * sha256.Size, 3*sha256.Size - 1
	if len(s) == joined {
		for i := 2; i < joined; i += 3 {
			if s[i] != ':' {
				return Fingerprint{}, errors.New("parse fingerprint: want pairs of hex digits joined by colons")
			}
		}
		s = strings.ReplaceAll(s, ":", "")
	}
	if len(s) != plain {
		return Fingerprint{}, fmt.Errorf("parse fingerprint: want SHA256: and all %d pairs of hex digits", sha256.Size)
	}
	var f Fingerprint
	if _, err := hex.Decode(f[:], []byte(s)); err != nil {
		return Fingerprint{}, errors.New("parse fingerprint: want hex digits only")
	}
	return f, nil
}

func colonHex(b []byte) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, digits[c>>4], digits[c&0xf])
	}
	return string(out)
}

// CheckDaemonID checks a daemon id as our control plane makes them and our files keep them: not empty, at most MaxDaemonID bytes, printable
// ASCII without space. The protocol itself allows any string; the handshake takes any.
func CheckDaemonID(s string) error {
	if s == "" {
		return errors.New("daemon id is empty")
	}
	if len(s) > MaxDaemonID {
		return fmt.Errorf("daemon id of %d bytes, the limit is %d", len(s), MaxDaemonID)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("daemon id has the byte 0x%02x at %d, want printable ASCII without space", c, i)
		}
	}
	return nil
}
