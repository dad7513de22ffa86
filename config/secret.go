package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"culvert/config/private"
)

const redacted = "[redacted]"

// maxSecret is the longest API key that is read from a file or stdin, in
// bytes. Real ones are under 100; the bound keeps a wrong file (a log, a
// device) out of memory.
const maxSecret = 4096

// Secret is a text that must not be seen, such as an API key. It prints as
// [redacted] under every verb, in JSON and in slog; Reveal gives the text.
// The zero value is an empty secret. Secrets cannot be compared with ==.
type Secret struct {
	// A function, because no printer sees into one: fmt calls no method on an unexported
	// field of someone else's struct, but walks it.
	s func() string
}

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{s: func() string { return s }} }

// Reveal returns the text itself: for the one call that sends or stores it.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return s.s()
}

// IsZero tells whether the secret is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// Format writes "[redacted]" under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt.State cannot fail

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", so that JSON and YAML never hold the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ReadSecret reads one secret from r: the first line, without surrounding
// white space. It blocks until the line has come or r has ended.
func ReadSecret(r io.Reader) (Secret, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return Secret{}, fmt.Errorf("read secret: %w", err)
	}
	if len(b) > maxSecret {
		return Secret{}, fmt.Errorf("read secret: more than %d bytes: is this the right file?", maxSecret)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return Secret{}, errors.New("read secret: it is empty")
	}
	if bytes.ContainsAny(b, "\r\n") {
		return Secret{}, errors.New("read secret: more than one line: is this the right file?")
	}
	return NewSecret(string(b)), nil
}

// OpenSecretFile opens the file at path, which must not be readable by other users
// (*PermissionError), for reading. A pipe is not checked.
func OpenSecretFile(path string) (*os.File, error) { return private.Open(path, private.Secret) }

// NewSecretFile makes a file at path that only its owner can read, for writing. One
// that is there already satisfies errors.Is(err, fs.ErrExist).
func NewSecretFile(path string) (*os.File, error) {
	return private.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
}

// ReadSecretFile reads a secret from the file at path, which must not be
// readable by other users (*PermissionError).
func ReadSecretFile(path string) (Secret, error) {
	f, err := OpenSecretFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	s, err := ReadSecret(f)
	if err != nil {
		return Secret{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// PSK is the secret half of a pairing code: 32 bytes that never leave the two
// machines. It prints as [redacted] everywhere. It is an array so that the
// code that makes and proves it can pass it as [32]byte; it is used once, as an
// HMAC key, and never compared.
type PSK [32]byte

// String returns "[redacted]".
func (p PSK) String() string { return redacted }

// Format writes "[redacted]" under every verb.
func (p PSK) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt.State cannot fail

// LogValue returns "[redacted]".
func (p PSK) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (p PSK) MarshalText() ([]byte, error) { return []byte(redacted), nil }
