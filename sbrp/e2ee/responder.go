package e2ee

import (
	"crypto/ecdh"
	"fmt"

	"culvert/sbrp"
)

// Respond is the daemon's side of a handshake: it takes the payload of HandshakeInit and returns that of HandshakeAccept, in the layout asked for, and
// the session. daemonID is the daemon's own id, as the client knows it. A wrong size and an ephemeral key of low order are *sbrp.Error,
// handshake_failed. It panics for a layout that is neither. It keeps nothing; safe for concurrent use.
func Respond(id *Identity, daemonID string, init []byte, layout Layout) (accept []byte, s *Session, err error) {
	return respond(id, daemonID, init, layout, newEphemeral())
}

func respond(id *Identity, daemonID string, init []byte, layout Layout, eph *ecdh.PrivateKey) ([]byte, *Session, error) {
	if len(init) != sbrp.InitSize {
		return nil, nil, failed(sbrp.CodeHandshakeFailed, "HandshakeInit of %d bytes, want %d", len(init), sbrp.InitSize)
	}
	// signature = Ed25519(identityPrivate, sigPayload)
	h := hello{daemonID, init, eph.PublicKey().Bytes()}
	signature := id.signHandshake(h.sigPayload())
	transcript := h.transcript(signature)
	okm, err := deriveKeys(eph.ECDH, init, transcript)
	if err != nil {
		return nil, nil, err
	}
	defer clear(okm)
	public := id.PublicKey()
	accept := make([]byte, 0, sbrp.AcceptSize)
	switch layout {
	case LayoutFull:
		accept = append(accept, public[:]...)
	case LayoutShort:
	default:
		panic(fmt.Sprintf("e2ee: Respond with the layout %d", layout))
	}
	accept = append(append(accept, h.daemonEph...), signature...)
	return accept, &Session{
		DaemonKey:  public,
		Transcript: transcript,
		Sealer:     newSealer(okm[sbrp.KeySize:], daemonToClient),
		Opener:     newOpener(okm[:sbrp.KeySize], clientToDaemon, WindowSize),
	}, nil
}
