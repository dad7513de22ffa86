package e2ee

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"

	"culvert/sbrp"
)

// Layout is how a daemon writes its HandshakeAccept (section 2). Clients take both.
type Layout uint8

// The layouts.
const (
	LayoutFull  Layout = iota // 128 bytes with the identity key: what the published library takes. The default
	LayoutShort               // 96 bytes without it: for peers of the overview's older draft
)

// String returns "128" or "96", the layout's size.
func (l Layout) String() string {
	if l == LayoutShort {
		return "96"
	}
	return "128"
}

// hello is the public part of a handshake that both hashes take.
type hello struct {
	daemonID  string
	clientEph []byte // 32, as sent: unused bits included
	daemonEph []byte // 32, as sent
}

// sigPayload = SHA256("sbrp-v1-handshake" || daemonId || clientEph || daemonEph)
func (h hello) sigPayload() [sha256.Size]byte { return h.hash(handshakeLabel, nil) }

// transcript = SHA256("sbrp-v1-transcript" || daemonId || clientEph || daemonEph || signature)
func (h hello) transcript(signature []byte) [sha256.Size]byte {
	return h.hash(transcriptLabel, signature)
}

func (h hello) hash(label string, signature []byte) (sum [sha256.Size]byte) {
	d := sha256.New()
	d.Write([]byte(label))
	d.Write([]byte(h.daemonID))
	d.Write(h.clientEph)
	d.Write(h.daemonEph)
	d.Write(signature)
	d.Sum(sum[:0])
	return sum
}

// x25519 is the ECDH method of a session's ephemeral private key: a function, because no printer sees into one (redact.go).
type x25519 func(peer *ecdh.PublicKey) ([]byte, error)

// newEphemeral makes a session's X25519 key.
func newEphemeral() *ecdh.PrivateKey {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic("e2ee: generate ephemeral key: " + err.Error()) // the system's random source does not fail (Go 1.24)
	}
	return key
}

// deriveKeys returns okm: the client-to-daemon key, then the daemon-to-client key. The caller wipes it. A peer key of low order is refused: it would
// make the shared secret known to everybody.
func deriveKeys(own x25519, peer []byte, transcript [sha256.Size]byte) ([]byte, error) {
	// shared = X25519(own ephemeral private, peer ephemeral public)
	pub, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, failed(sbrp.CodeHandshakeFailed, "ephemeral key of %d bytes, want %d", len(peer), sbrp.KeySize)
	}
	shared, err := own(pub) // fails for the all-zero result
	if err != nil {
		return nil, failed(sbrp.CodeHandshakeFailed, "the peer's ephemeral key is of low order")
	}
	defer clear(shared)
	// okm = HKDF-SHA256(ikm=shared, salt=transcript, info="sbrp-session-keys", 64 bytes)
	okm, err := hkdf.Key(sha256.New, shared, transcript[:], keysInfo, okmSize)
	if err != nil {
		return nil, failed(sbrp.CodeHandshakeFailed, "derive keys: %v", err)
	}
	return okm, nil
}
