package mux

import (
	"context"
	"fmt"
	"time"
)

// watch follows the path of a carrier in use and blocks until the carrier is out of use, which the end of ctx brings
// about. It returns why.
func (l *link) watch(ctx context.Context, att *attachment) error {
	stop := context.AfterFunc(ctx, func() { l.detach(att, context.Cause(ctx)) })
	defer stop()
	down := time.NewTimer(time.Hour)
	down.Stop()
	defer down.Stop()
	wasUp := true
	for {
		up, resumes, changed := att.carrier.Path()
		l.path(att, up, resumes)
		if up != wasUp {
			wasUp = up
			down.Stop()
			if !up {
				down.Reset(maxPathDown)
			}
		}
		select {
		case <-changed:
		case <-down.C:
			l.detach(att, fmt.Errorf("%w: its path was down for %v", ErrCarrierDead, maxPathDown))
		case <-att.gone:
			return att.err
		}
	}
}

// checkCarrier tells whether a carrier is fit for a link.
func checkCarrier(c Carrier) error {
	head, tail, size := c.Overhead()
	if head < 0 || tail < 0 || size < minMessage {
		return fmt.Errorf("use carrier: messages of %d bytes are too small, %d are needed", size, minMessage)
	}
	return nil
}

// sendRecord sends one handshake record that fill appends to the message.
func sendRecord(c Carrier, fill func(b []byte) ([]byte, error)) error {
	head, tail, size := c.Overhead()
	m := getMessage(head + min(size, maxMessage) + tail)
	defer m.put()
	b, err := fill(m.b[:head])
	if err != nil {
		return err
	}
	if len(b) > head+size {
		return fmt.Errorf("message of %d bytes, the carrier takes %d", len(b)-head, size)
	}
	if cap(b)-len(b) < tail {
		b = append(make([]byte, 0, len(b)+tail), b...)
	}
	return c.Send(b)
}

// receiveMessage receives one message of the handshake; the caller puts the buffer back when it is done with msg.
func receiveMessage(c Carrier) (msg []byte, m *messageBuffer, err error) {
	head, tail, size := c.Overhead()
	m = getMessage(head + size + tail)
	if msg, err = c.Receive(m.b); err != nil {
		m.put()
		return nil, nil, err
	}
	return msg, m, nil
}
