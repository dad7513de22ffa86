// Package wsconn carries SBRP frames over WebSocket: one frame per binary message (spec section 2).
//
// It is the only importer of coder/websocket, and the only place where WebSocket details live: close codes, the
// missing read limit, compression (off), masking, pings, HTTP proxies.
//
// # Writing
//
// A message leaves in one write to the socket, header and client mask included, with TLS as well. The WebSocket library
// writes through a small buffer and would need some sixteen writes for a full frame; so its writes are gathered in a pooled
// buffer that is borrowed only while a message is being written (see outlet), and the records of TLS are gathered
// below TLS once more (see socket). An idle connection owns no large buffer.
//
// [Conn.Write] blocks until the system has taken the message. [Conn.TryWrite] never blocks for a peer that does not
// read: it is for a goroutine that serves many connections.
//
// # Reading
//
// [Conn.Read] reads one message straight into the caller's buffer. [Conn.Next] waits for a message without one, so that
// ten thousand idle connections need not hold ten thousand buffers. Neither allocates.
//
// WebSocket pings are answered by this package and not by the library, whose answer would wait for a writer that is
// blocked, and which gives up on the connection when that takes five seconds.
package wsconn
