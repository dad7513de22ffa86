package sbrp

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// SessionID names one session on the relay. Zero is no session. It is not a secret: the relay sees it in every frame.
type SessionID uint64

// NewSessionID returns a random SessionID, never zero. Safe for concurrent use.
func NewSessionID() SessionID {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails (Go 1.24)
		if id := binary.BigEndian.Uint64(b[:]); id != 0 {
			return SessionID(id)
		}
	}
}

// String returns the form that tokens carry in `sid` (section 7): base64url without padding of the 8 big-endian bytes.
func (id SessionID) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// MarshalText returns the form of String.
func (id SessionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseSessionID.
func (id *SessionID) UnmarshalText(text []byte) error {
	v, err := ParseSessionID(string(text))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// ParseSessionID parses the form of String, strictly: 11 characters of the URL alphabet, no padding, no stray bits. Zero is refused. The
// error does not repeat the text.
func ParseSessionID(s string) (SessionID, error) {
	if len(s) != sessionIDText {
		return 0, fmt.Errorf("parse session id: %d characters, want %d of base64url", len(s), sessionIDText)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, fmt.Errorf("parse session id: not base64url without padding")
	}
	id := SessionID(binary.BigEndian.Uint64(b))
	if id == 0 {
		return 0, fmt.Errorf("parse session id: zero is no session")
	}
	return id, nil
}
