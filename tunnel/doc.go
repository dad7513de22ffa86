// Package tunnel says what a stream of a link means: a connection from a local
// program at the client to a named target at the daemon.
//
// # The stream preface
//
// The client opens a stream and sends, with its first data right behind and
// without waiting:
//
//	version u8 = 1, kind u8, length u16, target (length bytes)
//
// Kind 1 is connect, kind 2 is check: the grant is asked, the target dialled
// and closed again. Kind 3 is measure, see Measure: the daemon itself is the
// other end. A daemon that does not know a kind answers unsupported. The target is a name that the daemon's owner gave, or, for
// a network target, NAME/HOST:PORT. The daemon answers once:
//
//	status u8, length u16, text (length bytes)
//
// and for an accepted connect the target's bytes follow. Integers are
// big-endian. Nothing else is framed: half-close and reset are the stream's.
//
// # The two ends
//
// At the daemon, an Exposer accepts streams, asks Grants at every one, dials
// the target and copies. Live streams are in a registry, so that a revoked
// grant ends them (Recheck, DropClient).
//
// At the client, a Forward listens and brings each local connection to a
// target; Stdio does it for one connection on standard input and output; Check
// and Prober tell whether a target is really there. They open streams through
// an Opener, which is a *mux.Client: it waits while the link is held. A Forward
// whose spec is a SOCKS proxy learns the address from the program, version 5
// without authentication, and asks the daemon's network targets for it. Ping,
// Download and Upload measure the way to the daemon.
//
// Pipe is what both ends copy with: half-close passes through, a reset at one
// side is a reset at the other.
package tunnel
