package e2ee

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"culvert/sbrp"
)

// Identity is an Ed25519 device key: a daemon signs handshakes with it, a client its HELLO and its requests. It is the only type that holds the
// private bytes. Immutable, safe for concurrent use, not comparable with ==, prints [redacted]. It is a crypto.Signer.
//
// Every use signs under a label of its own. The handshake signs a bare SHA-256, 32 bytes; so no other message that an Identity signs may be 32 bytes
// long, or a peer who chooses messages could have a handshake signed. SignMessage and Sign refuse that length.
type Identity struct {
	public  sbrp.PublicKey
	private func() ed25519.PrivateKey // a function, because no printer sees into one (redact.go)
}

func newIdentity(private ed25519.PrivateKey) *Identity {
	return &Identity{
		public:  sbrp.PublicKey(private[ed25519.SeedSize:]),
		private: func() ed25519.PrivateKey { return private },
	}
}

// errAmbiguous guards against signing a handshake for someone else.
var errAmbiguous = errors.New("sign message: 32 bytes could pass for a handshake, sign a labelled message of another length")

// GenerateIdentity makes a new random identity.
func GenerateIdentity() *Identity {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("e2ee: generate identity: " + err.Error()) // the system's random source does not fail (Go 1.24)
	}
	return newIdentity(private)
}

// ParseIdentity makes an identity from its 32-byte seed, as Seed returns it. The seed is copied. A wrong length and an all-zero seed (what a
// damaged file holds) are errors, which do not repeat the bytes.
func ParseIdentity(seed []byte) (*Identity, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("parse identity: seed of %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	if [ed25519.SeedSize]byte(seed) == [ed25519.SeedSize]byte{} {
		return nil, errors.New("parse identity: the seed is all zero, the key is damaged")
	}
	return newIdentity(ed25519.NewKeyFromSeed(seed)), nil
}

// Seed returns a copy of the secret seed, for the key's file. Wipe it after use.
func (id *Identity) Seed() []byte { return id.private().Seed() }

// PublicKey returns the public half.
func (id *Identity) PublicKey() sbrp.PublicKey { return id.public }

// Public returns the public half as an ed25519.PublicKey (crypto.Signer).
func (id *Identity) Public() crypto.PublicKey { return id.private().Public() }

// SignMessage returns the 64-byte Ed25519 signature of msg, which must begin with the label of its use. It panics for a message of 32 bytes.
func (id *Identity) SignMessage(msg []byte) []byte {
	if len(msg) == sha256.Size {
		panic("e2ee: " + errAmbiguous.Error())
	}
	return ed25519.Sign(id.private(), msg)
}

// Sign is SignMessage as crypto.Signer has it: message is the message itself, and opts must name no hash. random is not used.
func (id *Identity) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts != nil && opts.HashFunc() != crypto.Hash(0) {
		return nil, fmt.Errorf("sign message: opts name the hash %v, Ed25519 signs the message itself", opts.HashFunc())
	}
	if o, ok := opts.(*ed25519.Options); ok && o.Context != "" {
		return nil, errors.New("sign message: Ed25519ctx is not supported")
	}
	if len(message) == sha256.Size {
		return nil, errAmbiguous
	}
	return ed25519.Sign(id.private(), message), nil
}

// signHandshake signs a handshake's sigPayload (section 3).
func (id *Identity) signHandshake(sigPayload [sha256.Size]byte) []byte {
	return ed25519.Sign(id.private(), sigPayload[:])
}
