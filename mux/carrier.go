package mux

import "errors"

// Carrier is one path for messages: an SBRP session, later a direct path. Messages may be lost and, by a hostile relay,
// duplicated or reordered, but never altered: integrity and secrecy are the carrier's.
//
// An error of Send or Receive may implement interface{ Backpressure() bool }: true says that the carrier ended because
// this side read too slowly, and the link then offers a smaller window.
type Carrier interface {
	// Overhead tells the room that the carrier needs before and behind a message in the buffer and the most bytes that a
	// message may have. It does not change.
	Overhead() (head, tail, max int)

	// Transcript binds the HELLO to this carrier: nobody else's carrier has the same.
	Transcript() [32]byte

	// Send sends the message buf[head:]; cap(buf)-len(buf) is at least tail. The carrier may overwrite all of it, and the
	// buffer is the caller's again on return. Send blocks for back pressure and is called by one goroutine at a time. A
	// message that cannot go because the path is down is dropped and nil is returned; an error means that the carrier is
	// dead.
	Send(buf []byte) error

	// Receive blocks for one message, uses buf (at least head+max+tail bytes) and returns a part of it. One goroutine at
	// a time calls it; Close unblocks it.
	Receive(buf []byte) ([]byte, error)

	// Path tells whether messages may pass now and how often the same carrier has come back; changed is closed at the
	// next change. It is a hint of whoever is in the middle and never proof. The end of the carrier is told by Receive and
	// Send, not here.
	Path() (up bool, resumes uint32, changed <-chan struct{})

	// Close ends the carrier and unblocks everything. Closing again does nothing. The reason is for people.
	Close(reason string) error
}

// backpressure tells whether a carrier ended because this side did not read fast enough.
func backpressure(err error) bool {
	var b interface{ Backpressure() bool }
	return errors.As(err, &b) && b.Backpressure()
}
