package sbrp

import "encoding/binary"

// header is the first HeaderSize bytes of a frame. length is what the sender claims, not yet checked.
type header struct {
	typ    FrameType
	length uint32
	id     SessionID
}

func readHeader(b []byte) header {
	return header{
		typ:    FrameType(b[0]),
		length: binary.BigEndian.Uint32(b[1:5]),
		id:     SessionID(binary.BigEndian.Uint64(b[5:13])),
	}
}

// ParseFrame parses a message as the relay does. msg must be exactly one frame; the checks and their order are those of section 2:
//
//  1. the header is whole, and the payload neither shorter nor longer than its length: malformed_frame
//  2. the length is at most MaxPayload (found from the header alone, so it wins over a payload that is not there): payload_too_large
//  3. the type is known: invalid_frame_type
//  4. the SessionID fits the type: invalid_session_id
//  5. a Ping or Pong holds at most MaxPing bytes: malformed_frame
//
// The error is an *Error whose Code and SessionID (zero for all of these) are those of the Control frame to answer with. Payload aliases msg. Nothing
// is allocated for a good frame. Payload sizes of the other types are for the endpoints (CheckPayload), who may is CheckSender's question.
func ParseFrame(msg []byte) (Frame, error) {
	if len(msg) < HeaderSize {
		return Frame{}, errShortHeader(len(msg))
	}
	h := readHeader(msg)
	if err := h.checkLength(); err != nil {
		return Frame{}, err
	}
	if err := h.checkComplete(len(msg)); err != nil {
		return Frame{}, err
	}
	if err := h.checkType(); err != nil {
		return Frame{}, err
	}
	if err := h.checkSessionID(CodeInvalidSessionID); err != nil {
		return Frame{}, err
	}
	f := Frame{Type: h.typ, SessionID: h.id, Payload: msg[HeaderSize:]}
	if f.Type.connectionBound() {
		if err := f.CheckPayload(); err != nil {
			return Frame{}, err
		}
	}
	return f, nil
}

// ParseEndpointFrame parses a message as a client or a daemon does: exactly one frame, and its payload of a size that its type allows
// (CheckPayload). It refuses what the published library's decoders refuse, with their codes, which differ from the relay's in two places: an
// unknown type is reported before a length over the limit, and a SessionID that does not fit the type is malformed_frame. The error is an *Error;
// nothing is answered on the wire. Payload aliases msg. Nothing is allocated for a good frame.
func ParseEndpointFrame(msg []byte) (Frame, error) {
	if len(msg) < HeaderSize {
		return Frame{}, errShortHeader(len(msg))
	}
	h := readHeader(msg)
	if err := h.checkEndpoint(); err != nil {
		return Frame{}, err
	}
	if err := h.checkComplete(len(msg)); err != nil {
		return Frame{}, err
	}
	f := Frame{Type: h.typ, SessionID: h.id, Payload: msg[HeaderSize:]}
	if err := f.CheckPayload(); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// CheckPayload checks that the payload has a size that the frame's type allows (the table of section 2). An endpoint checks it, the relay does not: it
// forwards endpoint frames byte for byte. The error is an *Error, malformed_frame.
func (f Frame) CheckPayload() error {
	n, ok, rule, want := len(f.Payload), true, RulePayload, ""
	switch f.Type {
	case FrameHandshakeInit:
		ok, want = n == InitSize, "32"
	case FrameHandshakeAccept:
		ok, want = n == AcceptSize || n == AcceptSizeShort, "128 or 96"
	case FrameData:
		ok, want = n >= MinSealed && n <= MaxPayload, "28 to 65536"
	case FrameSignal:
		ok, want = n == SignalSize, "2"
	case FramePing, FramePong:
		ok, rule, want = n <= MaxPing, RulePing, "at most 8"
	case FrameControl:
		ok, want = n >= MinControl && n <= MaxPayload, "2 to 65536"
	default:
		return frameError(CodeInvalidFrameType, RuleType, 0, "type %v", f.Type)
	}
	if !ok {
		return frameError(CodeMalformedFrame, rule, 0, "%v payload of %d bytes, want %s", f.Type, n, want)
	}
	return nil
}

func errShortHeader(n int) error {
	return frameError(CodeMalformedFrame, RuleLength, 0, "message of %d bytes, a header has %d", n, HeaderSize)
}

// checkEndpoint is what an endpoint checks as soon as it has the header: type, length, SessionID.
func (h header) checkEndpoint() error {
	if err := h.checkType(); err != nil {
		return err
	}
	if err := h.checkLength(); err != nil {
		return err
	}
	return h.checkSessionID(CodeMalformedFrame)
}

func (h header) checkLength() error {
	if h.length > MaxPayload {
		return frameError(CodePayloadTooLarge, RuleSize, 0, "length %d, the limit is %d", h.length, MaxPayload)
	}
	return nil
}

func (h header) checkComplete(msgLen int) error {
	if have := msgLen - HeaderSize; have != int(h.length) {
		return frameError(CodeMalformedFrame, RuleLength, 0, "payload of %d bytes, its length field says %d", have, h.length)
	}
	return nil
}

func (h header) checkType() error {
	if !h.typ.Known() {
		return frameError(CodeInvalidFrameType, RuleType, 0, "type %v", h.typ)
	}
	return nil
}

func (h header) checkSessionID(code Code) error {
	if fitsType(h.id, h.typ) {
		return nil
	}
	if h.id == 0 {
		return frameError(code, RuleSessionID, 0, "%v with session id zero", h.typ)
	}
	return frameError(code, RuleSessionID, 0, "%v with a session id", h.typ)
}
