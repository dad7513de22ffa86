// Package e2ee is the end-to-end encryption of the Sideband Relay Protocol: identity keys, the handshake, traffic keys, the sealed channel and its
// replay window (sections 3 and 4 of the protocol page). Nothing else in the module imports a cipher.
//
// It is a state machine of bytes: it does no I/O, starts no goroutine, reads no clock and writes no log. Randomness comes from crypto/rand.
// A peer's bytes never panic it; they give an error. Our own mistakes (Seal after Wipe, Finish twice) panic.
//
//	client                                            daemon
//	i := NewInitiator(daemonID, expected)
//	i.Init()            -- HandshakeInit -->          accept, s, err := Respond(identity, daemonID, init, LayoutFull)
//	s, err := i.Finish  <-- HandshakeAccept --
//	s.Sealer.Seal       <== Data ==>                  s.Opener.Open
//
// Verify, then pin, then use: Finish checks the daemon against the expected key, which the caller always names (the pin, or on first contact
// the key that the control plane gave); only after Finish has succeeded may a first pin be stored. There is no accept-all.
//
// # Wiping
//
// Secrets are cleared after use as far as Go allows: our own copies of the shared secret and of the derived keys are overwritten at once,
// and Wipe drops the traffic keys. It is best effort. crypto/ecdh keeps ephemeral private keys, and the AEAD keeps traffic keys, in memory that no
// caller can reach: those copies go when the garbage collector reuses their memory, and the runtime may have moved or spilled others. Do not count on
// it against someone who can read this process's memory.
//
// # Printing
//
// Identity, Initiator, Session, Sealer and Opener print as [redacted] under every verb and in slog. Where no method is called (another struct's
// unexported field, a verb that does not fit, encoding/json) they show addresses and what is public.
package e2ee
