// Package sbrp is the words of the Sideband Relay Protocol, version 1: frames, control codes, signals, session ids, public keys and
// fingerprints. It is standard library only, does no I/O, starts no goroutine and writes no log.
//
// Read protocol.go first: every frame type, its layout and its sender are on that one screen. The section numbers in the comments are those of
// the project's protocol page.
//
// The words used here and everywhere in culvert:
//
//	daemon         the end that exposes something; it has the identity key
//	client         the end that connects to a daemon
//	relay          forwards frames between the two; it has no key and sees no plaintext
//	control plane  issues tokens and keeps the registry of daemons
//	session        one handshake's worth of keys between one client and one daemon, named by a SessionID
//	identity key   a daemon's long-lived Ed25519 key, shown to people as a Fingerprint
//
// Two views of the same bytes exist because the protocol gives them different answers. The relay's is ParseFrame (the checks of section 2, in
// its order, with the Control frame to answer in *Error) and CheckSender. An endpoint's is ParseEndpointFrame, or Decoder for a byte stream,
// whose codes are those of the published library.
package sbrp
