package chaos

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// AcceptEphemeral is where the daemon's ephemeral key begins in the payload of a whole HandshakeAccept, behind its identity key.
const AcceptEphemeral = sbrp.AcceptSize - sbrp.AcceptSizeShort

// Flip returns the message with one bit of it changed; bit counts from the first byte's lowest.
func Flip(msg []byte, bit int) []byte {
	out := bytes.Clone(msg)
	out[bit/8] ^= 1 << (bit % 8)
	return out
}

// Reframe returns the frame with another payload.
func Reframe(f sbrp.Frame, payload []byte) []byte {
	return sbrp.AppendFrame(nil, f.Type, f.SessionID, payload)
}

// Truncate returns the frame with only the first n bytes of its payload, or all of them if there are no more.
func Truncate(f sbrp.Frame, n int) []byte { return Reframe(f, f.Payload[:min(n, len(f.Payload))]) }

// Redirect returns the frame as one of another session.
func Redirect(f sbrp.Frame, id sbrp.SessionID) []byte {
	return sbrp.AppendFrame(nil, f.Type, id, f.Payload)
}

// Say is a Control frame of a session, also one with a code that no relay may send. A code that is the connection's
// has no session.
func Say(c sbrp.Code, id sbrp.SessionID) []byte {
	if c.Known() && !c.SessionScoped() {
		id = 0
	}
	return sbrp.AppendFrame(nil, sbrp.FrameControl, id, append(binary.BigEndian.AppendUint16(nil, uint16(c)), "a lie"...))
}

// Strip takes the identity key out of a whole HandshakeAccept, as an older draft has it. Another frame stays as it is.
func Strip(f sbrp.Frame) []byte {
	if f.Type != sbrp.FrameHandshakeAccept || len(f.Payload) != sbrp.AcceptSize {
		return Reframe(f, f.Payload)
	}
	return Reframe(f, f.Payload[AcceptEphemeral:])
}

// SwapEphemeral puts an ephemeral key into a HandshakeInit or a whole HandshakeAccept. Another frame stays as it is.
func SwapEphemeral(f sbrp.Frame, key [sbrp.InitSize]byte) []byte {
	payload := bytes.Clone(f.Payload)
	switch {
	case f.Type == sbrp.FrameHandshakeInit && len(payload) == sbrp.InitSize:
		copy(payload, key[:])
	case f.Type == sbrp.FrameHandshakeAccept && len(payload) == sbrp.AcceptSize:
		copy(payload[AcceptEphemeral:], key[:])
	}
	return Reframe(f, payload)
}

// Pose answers a HandshakeInit in a daemon's place, with an identity of one's own: it returns the payload of a whole
// HandshakeAccept.
func Pose(own *e2ee.Identity, daemonID string, init []byte) ([]byte, error) {
	accept, session, err := e2ee.Respond(own, daemonID, init, e2ee.LayoutFull)
	if err != nil {
		return nil, fmt.Errorf("pose as daemon: %w", err)
	}
	session.Wipe() // nobody will come to use it: the client refuses
	return accept, nil
}
