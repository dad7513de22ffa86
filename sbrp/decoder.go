package sbrp

// Decoder splits a byte stream into frames, however the stream was cut. WebSocket messages do not need it (one message is one frame); other
// transports do. It makes an endpoint's checks of the header as soon as the header is there: type, length, SessionID. The payload's size is for
// Frame.CheckPayload. The zero Decoder is ready. Not for concurrent use.
//
// Memory: what was written and not yet taken by Next is kept, so call Next until it reports false after each Write; then at most one frame
// (MaxFrame bytes) stays.
type Decoder struct {
	buf     []byte // written, not yet decoded, from off
	off     int
	err     error // the stream is broken: it stays so
	dropped int   // bytes written since then: counted, not kept
}

// Write takes the next bytes of the stream. p is copied. It always returns len(p), nil: what is wrong with the bytes is Next's to say. It
// makes the payloads of earlier frames invalid.
func (d *Decoder) Write(p []byte) (int, error) {
	if d.err != nil {
		d.dropped += len(p)
		return len(p), nil
	}
	if d.off > 0 {
		n := copy(d.buf, d.buf[d.off:])
		d.buf, d.off = d.buf[:n], 0
	}
	d.buf = append(d.buf, p...)
	return len(p), nil
}

// Next returns the next whole frame, or false if the bytes so far hold none. The payload is valid until the next Write. An error, an *Error, is for
// good: the border of the next frame is lost, so every later call returns it again.
func (d *Decoder) Next() (Frame, bool, error) {
	if d.err != nil {
		return Frame{}, false, d.err
	}
	rest := d.buf[d.off:]
	if len(rest) < HeaderSize {
		return Frame{}, false, nil
	}
	h := readHeader(rest)
	if err := h.checkEndpoint(); err != nil {
		d.err = err
		d.dropped = len(rest)
		d.buf, d.off = nil, 0
		return Frame{}, false, err
	}
	end := HeaderSize + int(h.length)
	if len(rest) < end {
		return Frame{}, false, nil
	}
	d.off += end
	return Frame{Type: h.typ, SessionID: h.id, Payload: rest[HeaderSize:end:end]}, true, nil
}

// Buffered returns how many bytes were written that are not part of a frame that Next has returned.
func (d *Decoder) Buffered() int { return len(d.buf) - d.off + d.dropped }
