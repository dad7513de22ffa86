package sbrp

import (
	"encoding/binary"
	"fmt"
)

// FrameType is the first byte of a frame. The types are listed in protocol.go.
type FrameType uint8

// String returns the name that the protocol gives the type, and 0x%02x for a type outside its table.
func (t FrameType) String() string {
	switch t {
	case FrameHandshakeInit:
		return "HandshakeInit"
	case FrameHandshakeAccept:
		return "HandshakeAccept"
	case FrameData:
		return "Data"
	case FrameSignal:
		return "Signal"
	case FramePing:
		return "Ping"
	case FramePong:
		return "Pong"
	case FrameControl:
		return "Control"
	default:
		return fmt.Sprintf("0x%02x", uint8(t))
	}
}

// Known reports whether t is in the protocol's table (section 2).
func (t FrameType) Known() bool {
	switch t {
	case FrameHandshakeInit, FrameHandshakeAccept, FrameData, FrameSignal, FramePing, FramePong, FrameControl:
		return true
	default:
		return false
	}
}

// SessionBound reports whether a frame of this type must carry a SessionID other than zero.
func (t FrameType) SessionBound() bool {
	switch t {
	case FrameHandshakeInit, FrameHandshakeAccept, FrameData, FrameSignal:
		return true
	default:
		return false
	}
}

// connectionBound reports whether a frame of this type must carry SessionID zero. Control may carry either.
func (t FrameType) connectionBound() bool { return t == FramePing || t == FramePong }

// Frame is one parsed frame. Payload is the sender's bytes: a Frame from a parser aliases the buffer that was parsed.
type Frame struct {
	Type      FrameType
	SessionID SessionID
	Payload   []byte
}

// PutHeader writes the header of a frame whose payload is payloadLen bytes to b[:HeaderSize]. It panics if b is shorter than that or payloadLen is
// outside 0..MaxPayload, which would be our own mistake.
func PutHeader(b []byte, t FrameType, id SessionID, payloadLen int) {
	if payloadLen < 0 || payloadLen > MaxPayload {
		panic(fmt.Sprintf("sbrp: PutHeader with a payload of %d bytes, the limit is %d", payloadLen, MaxPayload))
	}
	_ = b[HeaderSize-1] // one bounds check, and a panic before anything is written
	b[0] = byte(t)
	binary.BigEndian.PutUint32(b[1:5], uint32(payloadLen))
	binary.BigEndian.PutUint64(b[5:13], uint64(id))
}

// AppendFrame appends the frame to b. It panics if the payload is over MaxPayload; it checks nothing else, so that a test can make any wrong frame
// with it. Frame.Append is the one that refuses what a peer would refuse.
func AppendFrame(b []byte, t FrameType, id SessionID, payload []byte) []byte {
	var h [HeaderSize]byte
	PutHeader(h[:], t, id, len(payload))
	return append(append(b, h[:]...), payload...)
}

// Append appends f to b. It refuses, with an *Error and b unchanged, a frame that no correct peer would take: a type outside the table, a SessionID
// that does not fit the type, a payload of a wrong size.
func (f Frame) Append(b []byte) ([]byte, error) {
	if len(f.Payload) > MaxPayload {
		return b, frameError(CodePayloadTooLarge, RuleSize, 0, "payload of %d bytes, the limit is %d", len(f.Payload), MaxPayload)
	}
	if !f.Type.Known() {
		return b, frameError(CodeInvalidFrameType, RuleType, 0, "type %v", f.Type)
	}
	if !fitsType(f.SessionID, f.Type) {
		return b, frameError(CodeMalformedFrame, RuleSessionID, 0, "%v with session id %d", f.Type, uint64(f.SessionID))
	}
	if f.Type.connectionBound() && len(f.Payload) > MaxPing {
		return b, frameError(CodePayloadTooLarge, RulePing, 0, "%v payload of %d bytes, the limit is %d", f.Type, len(f.Payload), MaxPing)
	}
	if err := f.CheckPayload(); err != nil {
		return b, err
	}
	return AppendFrame(b, f.Type, f.SessionID, f.Payload), nil
}

// Expect checks that f is of the type that the reader's state asks for. The error is an *Error, invalid_frame_type.
func (f Frame) Expect(t FrameType) error {
	if f.Type != t {
		return frameError(CodeInvalidFrameType, RuleType, 0, "%v, want %v", f.Type, t)
	}
	return nil
}

// mustAppend is Append for frames whose every field our own code chose.
func (f Frame) mustAppend(b []byte) []byte {
	b, err := f.Append(b)
	if err != nil {
		panic("sbrp: append " + f.Type.String() + ": " + err.Error())
	}
	return b
}

// AppendPing appends a Ping with these opaque bytes, at most MaxPing of them; more panic.
func AppendPing(b, opaque []byte) []byte {
	return Frame{Type: FramePing, Payload: opaque}.mustAppend(b)
}

// AppendPong appends the answer to a Ping: its bytes, unchanged. More than MaxPing bytes panic; ParseFrame lets no such Ping through.
func AppendPong(b, ping []byte) []byte { return Frame{Type: FramePong, Payload: ping}.mustAppend(b) }

// fitsType reports whether a frame of type t may carry this SessionID (rule 4 of section 2).
func fitsType(id SessionID, t FrameType) bool {
	if id == 0 {
		return !t.SessionBound()
	}
	return !t.connectionBound()
}
