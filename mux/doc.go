// Package mux carries many byte streams between one client and one daemon over carriers that come and go.
//
// A Carrier moves messages and may lose them. A link is a byte stream in each direction that outlives its carriers:
// what the peer has not acknowledged is kept and sent again on the next one. yamux multiplexes streams on the link.
//
// Client is the end that connects: one link at a time, handed one carrier after another with Client.Serve. Server is the
// daemon's end: all links of all clients. Both give Sessions, and these give Streams. The package knows nothing of
// SBRP; the records on the wire are described in PROTOCOL.md.
package mux
