// Package relay is the data plane: it verifies tokens, pairs clients with daemons and forwards their frames byte for byte (spec
// sections 2, 5 and 6). It cannot decrypt: it does not import the package that could.
//
// A [Server] is an http.Handler. Each WebSocket has one goroutine, which reads:
//
//	client 1 --reads--> trunk (one turn at a time, served in order) --> daemon
//	client 2 --reads-->   "
//	client 1 <-- outbox (written at once, else queued) <--+-- reads -- daemon
//	client 2 <-- outbox                                <--+
//
// Towards a daemon, whose WebSocket is shared, a client's reader waits for its turn and writes itself: TCP back pressure reaches
// that client, and every session has the same share. Towards a client nobody waits: what its socket does not take at
// once is queued, and a queue that is full ends that client with backpressure. Nothing is dropped silently.
//
// What one party may take is bounded by [Limits]. A peer that sends too fast is not read from for a while (pacer): TCP slows it
// down, nothing is dropped, and rate_limited tells it once per [RateWindow]. [Server.Drain] sends everybody elsewhere before Run
// ends. What one relay carries has been measured: LOAD.md.
//
// The life of a session is the table in state.go; a [slot] holds the daemon and its sessions, and applies the table under one
// lock.
package relay
