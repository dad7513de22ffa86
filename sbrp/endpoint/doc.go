// Package endpoint is the two ends of a relay connection: the client, which
// has one WebSocket per session, and the daemon, which has one WebSocket for
// all its sessions and tells them apart by their SessionID.
//
// A [Session] is one SBRP session at either end. It carries messages that may
// be lost, repeated or reordered by the relay but never altered; what rides
// in it must cope with loss. It has the methods that the link layer wants of
// a carrier (Overhead, Transcript, Send, Receive, Path, Close) with standard
// types only, so that neither package imports the other.
//
// # What the relay may do
//
// Everything that a relay says in Control frames is a hint. A lie may cost
// time (a session that is held back although it could run, or ended early),
// never bytes: payloads are accepted by their seal alone. What is done with
// the frames of a relay that misbehaves, and why:
//
//   - A Data frame that was replayed or is older than the window is dropped
//     and counted. A relay that repeats frames is no reason to end a session
//     that works, and the window makes repetition harmless.
//   - A Data frame whose tag or direction is wrong ends the session
//     (decrypt_failed). No honest path alters bytes under TLS, so somebody is
//     forging: a new handshake with new keys is the answer, it limits a forger
//     to one try per session, and costs the link above one resume. It gives a
//     hostile relay nothing that it does not have by closing the WebSocket.
//   - A message that is not a frame (spec section 2, rules 1 to 4) ends a
//     client's WebSocket. A daemon drops and counts it, up to a bound, because
//     its WebSocket carries the sessions of others.
//   - A well-formed frame in the wrong place (a second HandshakeAccept, a
//     Signal, another session's id, a HandshakeInit of an active session) is
//     dropped and counted; running sessions are untouched.
//   - Control codes that are unknown or local are logged and ignored.
//
// # Life of a session
//
// state.go holds the client's and the daemon's tables (spec section 6). The
// package never dials again for a client: that takes a new token, which is the
// caller's business. [Daemon.Run] does dial again, and keeps its sessions
// meanwhile.
package endpoint
