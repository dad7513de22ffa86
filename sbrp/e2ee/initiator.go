package e2ee

import (
	"crypto/ecdh"
	"crypto/ed25519"

	"culvert/sbrp"
)

// Initiator is the client's side of one handshake: Init once or more, Finish once. Not for concurrent use.
type Initiator struct {
	daemonID string
	expected sbrp.PublicKey
	own      x25519 // nil once finished or wiped
	init     [sbrp.InitSize]byte
}

// NewInitiator starts a handshake with the daemon of this id, making a fresh ephemeral key. expected is the pinned identity key or, on first contact, the
// key that the control plane gave: the daemon must prove that it has it. There is no way to leave it out: with the zero key, or another key of small order, Finish fails.
func NewInitiator(daemonID string, expected sbrp.PublicKey) *Initiator {
	return newInitiator(daemonID, expected, newEphemeral())
}

func newInitiator(daemonID string, expected sbrp.PublicKey, eph *ecdh.PrivateKey) *Initiator {
	i := &Initiator{daemonID: daemonID, expected: expected, own: eph.ECDH}
	copy(i.init[:], eph.PublicKey().Bytes())
	return i
}

// Init returns the payload of HandshakeInit.
func (i *Initiator) Init() [sbrp.InitSize]byte { return i.init }

// Finish takes the payload of HandshakeAccept, of either layout, and returns the session. An expected key that proves nothing is refused at once
// (handshake_failed); then the checks and their order are those of section 3:
//
//  1. the advertised identity key (128 bytes only) is the expected one: *IdentityChangedError, identity_key_changed
//  2. the signature verifies under the expected key: handshake_failed
//  3. the keys are derived, the ephemeral key not being of low order: handshake_failed
//
// A first pin may be stored after it has succeeded, not before. A handshake is tried once: whatever the outcome, the ephemeral key is gone afterwards, and
// another Finish panics. After an error the connection is of no use; start again with a new Initiator.
func (i *Initiator) Finish(accept []byte) (*Session, error) {
	if i.own == nil {
		panic("e2ee: Finish after Finish or Wipe")
	}
	own := i.own
	i.Wipe()
	if weakIdentity(i.expected) {
		return nil, failed(sbrp.CodeHandshakeFailed, "the expected identity key is zero or of small order, anybody could sign for it")
	}
	daemonEph, signature, err := i.parseAccept(accept)
	if err != nil {
		return nil, err
	}
	// signature = Ed25519(identityPrivate, sigPayload)
	h := hello{i.daemonID, i.init[:], daemonEph}
	sigPayload := h.sigPayload()
	if !ed25519.Verify(i.expected[:], sigPayload[:], signature) {
		return nil, failed(sbrp.CodeHandshakeFailed, "the daemon's signature does not verify")
	}
	transcript := h.transcript(signature)
	okm, err := deriveKeys(own, daemonEph, transcript)
	if err != nil {
		return nil, err
	}
	defer clear(okm)
	return &Session{
		DaemonKey:  i.expected,
		Transcript: transcript,
		Sealer:     newSealer(okm[:sbrp.KeySize], clientToDaemon),
		Opener:     newOpener(okm[sbrp.KeySize:], daemonToClient, WindowSize),
	}, nil
}

// parseAccept splits a HandshakeAccept of either layout and checks the advertised identity key first, even in a payload of a wrong size that has one.
func (i *Initiator) parseAccept(accept []byte) (daemonEph, signature []byte, err error) {
	rest := accept
	if len(accept) > sbrp.AcceptSizeShort {
		got := sbrp.PublicKey(accept[:sbrp.KeySize])
		if !i.expected.Equal(got) {
			return nil, nil, &IdentityChangedError{Expected: i.expected, Got: got}
		}
		rest = accept[sbrp.KeySize:]
	}
	if len(rest) != sbrp.AcceptSizeShort {
		return nil, nil, failed(sbrp.CodeHandshakeFailed, "HandshakeAccept of %d bytes, want %d or %d", len(accept), sbrp.AcceptSize, sbrp.AcceptSizeShort)
	}
	return rest[:sbrp.KeySize], rest[sbrp.KeySize:], nil
}

// Wipe gives the handshake up and drops its ephemeral key (best effort, see the package's doc). Finish panics afterwards; another Wipe does nothing.
func (i *Initiator) Wipe() { i.own = nil }
