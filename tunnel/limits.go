package tunnel

import "time"

// Limits and timeouts of our own. None is on the wire.
const (
	// prefaceTimeout bounds how long an accepted stream may take to say what
	// it wants: the client sends the preface with the stream's opening.
	prefaceTimeout = 10 * time.Second
	// dialTimeout bounds the dial to a target. A host that drops packets is
	// reported before most programs' own patience ends.
	dialTimeout = 10 * time.Second
	// refusalLinger is how long a refused stream waits for the client to take
	// note and close: a reset at once could overtake the answer.
	refusalLinger = 30 * time.Second
	// maxTarget bounds the target in a preface, in bytes: a name of 64, and a
	// host name of 253 with a port.
	maxTarget = 512
	// maxStatusText bounds the text of an answer, in bytes; longer ones are
	// cut by the sender and refused by the reader.
	maxStatusText = 1024
	// maxShownText bounds how much of a peer's text is shown to a person.
	maxShownText = 200

	// DefaultMaxStreams bounds the streams of one client at a daemon; more are
	// answered busy.
	DefaultMaxStreams = 4096
	// DefaultMaxDials bounds the dials that a daemon has under way for all
	// clients at once; more are answered busy. Targets that drop packets hold a
	// dial for its whole timeout.
	DefaultMaxDials = 256
	// streamsAbove is how many streams beyond the bound are still answered
	// (busy); the rest is reset without an answer.
	streamsAbove = 64

	// DefaultMaxConns bounds the local connections of one forward; more are
	// reset.
	DefaultMaxConns = 4096
	// DefaultOpenTimeout bounds how long a local connection waits for the
	// link; it is the link's hold time (architecture, section 3).
	DefaultOpenTimeout = 10 * time.Minute
	// answerTimeout bounds how long the client waits for the answer to a
	// check: the daemon's dial timeout and a slow path. A connection that is
	// being forwarded waits as long as the link lives.
	answerTimeout = 30 * time.Second

	// socksHandshakeTimeout bounds how long a SOCKS client may take to say where it wants
	// to go: programs do that at once.
	socksHandshakeTimeout = 10 * time.Second
	// socksLinger bounds the wait for a refused SOCKS client to take note and close.
	socksLinger = 2 * time.Second
	// maxNetworks bounds the networks of a daemon that are asked for one SOCKS connection:
	// each takes a round trip.
	maxNetworks = 16

	// acceptRetryMin and acceptRetryMax are the pauses after an accept that
	// failed for want of descriptors or memory.
	acceptRetryMin = 5 * time.Millisecond
	acceptRetryMax = time.Second

	// probeRetryMin and probeRetryMax are the pauses of a Prober between
	// failed checks: soon enough for a dev server that is just starting,
	// seldom enough not to fill the target's log.
	probeRetryMin = 250 * time.Millisecond
	probeRetryMax = 5 * time.Second

	// bigBuffer is read into when there is something to read, in bytes: few and
	// large reads are what makes bulk fast. It is four of the mux's turns.
	// smallBuffer is what an idle connection holds per direction where it
	// cannot wait without a buffer, that is on Windows.
	smallBuffer = 4 << 10
	bigBuffer   = 128<<10 - 512
)
