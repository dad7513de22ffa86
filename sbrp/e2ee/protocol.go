package e2ee

import "culvert/sbrp"

// The handshake, section 3.
//
//	sigPayload = SHA256("sbrp-v1-handshake" || daemonId || clientEph || daemonEph)
//	signature  = Ed25519(identityPrivate, sigPayload)
//	transcript = SHA256("sbrp-v1-transcript" || daemonId || clientEph || daemonEph || signature)
//	shared     = X25519(own ephemeral private, peer ephemeral public)
//	okm        = HKDF-SHA256(ikm=shared, salt=transcript, info="sbrp-session-keys", 64 bytes)
//	clientToDaemon = okm[0:32]     daemonToClient = okm[32:64]
//
// HandshakeInit is clientEph (32). HandshakeAccept is identityPublic (32) daemonEph (32) signature (64), or without the identity key in the
// older layout. Neither hash holds the identity key, so the layouts differ in nothing else.
//
// A sealed message, section 4: nonce = direction (4) || sequence (8), then ciphertext, then tag (16); no additional data.
const (
	handshakeLabel  = "sbrp-v1-handshake"  // section 3
	transcriptLabel = "sbrp-v1-transcript" // section 3
	keysInfo        = "sbrp-session-keys"  // section 3

	clientToDaemon direction = 1 // section 4
	daemonToClient direction = 2 // section 4

	okmSize = 2 * sbrp.KeySize // section 3

	lastSequence = 1<<64 - 1 // never sent: a sender that gets here is exhausted. Section 4
)

// Our own choices: the protocol leaves them open.
const (
	// WindowSize is how many sequence numbers the replay window of a session spans, the highest seen included. The protocol asks for 128 at least; 1,024 costs
	// 128 bytes a direction and rides out any reordering that one TCP connection and a relay can make.
	WindowSize = 1024
)

// direction is the first half of a nonce.
type direction uint32

func (d direction) String() string {
	if d == clientToDaemon {
		return "client to daemon"
	}
	return "daemon to client"
}
