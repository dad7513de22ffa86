package endpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// Wire is one connection to a relay that carries one message at a time: in
// production a *wsconn.Conn. Read has one caller at a time; all else may be
// called concurrently. CloseNow and Close unblock Read and Write.
type Wire interface {
	// Read blocks for one message and reads it into buf, which is one byte longer
	// than the longest frame. After an error there is no more reading.
	Read(buf []byte) (int, error)
	// Write sends one message. It blocks for back pressure, with a timeout of its
	// own, and keeps nothing of frame.
	Write(frame []byte) error
	// LastReceive is when bytes of whatever kind last came in.
	LastReceive() time.Time
	// Close ends the connection politely, so that what was written before is not
	// lost if the peer still reads. It may block for a few seconds.
	Close(code wsconn.StatusCode, reason string)
	// CloseNow ends the connection at once.
	CloseNow()
}

var _ Wire = (*wsconn.Conn)(nil)

// DialFunc opens a Wire. It is a field of the configurations so that tests and
// other transports can bring their own; nil means wsconn.Dial.
type DialFunc func(ctx context.Context, url string, o wsconn.DialOptions) (Wire, error)

// dialWebSocket is the DialFunc of production.
func dialWebSocket(ctx context.Context, url string, o wsconn.DialOptions) (Wire, error) {
	c, err := wsconn.Dial(ctx, url, o)
	if err != nil {
		return nil, err // a nil *Conn must not become a Wire
	}
	return c, nil
}

// unframed gives an error of Read its code where the message is to blame (section 2): text, or more bytes than any frame has.
func unframed(err error) error {
	if errors.Is(err, wsconn.ErrText) || errors.Is(err, wsconn.ErrTooLarge) {
		return fmt.Errorf("%w (%w)", &sbrp.Error{Code: sbrp.CodeMalformedFrame, Rule: sbrp.RuleLength}, err)
	}
	return err
}
