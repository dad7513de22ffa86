package mux

import (
	"encoding/binary"
	"math"
)

// protocolVersion is what HELLO and WELCOME carry.
//
// History: 1, the first.
const protocolVersion = 1

// The records. A message is one or more records; integers are big-endian. Those marked * run to the end of the message.
// PROTOCOL.md describes the flow.
const (
	recHello    = 0x01 // * client: signature(64), JSON
	recWelcome  = 0x02 // * daemon: JSON
	recRefuse   = 0x03 // * daemon: JSON
	recData     = 0x10 // * offset(8), bytes
	recAck      = 0x11 //   received(8), limit(8)
	recSync     = 0x12 //   epoch(4), received(8), limit(8)
	recProbe    = 0x13 //   nonce(8), sent(8)
	recProbeAck = 0x14 //   nonce(8), received(8)
	recClose    = 0x1F // * code(2), text
)

// Sizes of the records with their type byte; of those that run to the end, without what runs.
const (
	dataHeader   = 1 + 8
	ackSize      = 1 + 8 + 8
	syncSize     = 1 + 4 + 8 + 8
	probeSize    = 1 + 8 + 8
	probeAckSize = 1 + 8 + 8
	closeHeader  = 1 + 2
)

// record is one parsed record; which fields count depends on typ.
type record struct {
	typ      byte
	epoch    uint32
	received uint64
	limit    uint64
	nonce    uint64
	offset   uint64 // DATA: of its first byte; PROBE: the prober's sent offset
	code     Code
	data     []byte // DATA, CLOSE, and the body of a handshake record: aliases the message
}

func appendDataHeader(b []byte, offset uint64) []byte {
	b = append(b, recData)
	return binary.BigEndian.AppendUint64(b, offset)
}

func appendAck(b []byte, received, limit uint64) []byte {
	b = append(b, recAck)
	b = binary.BigEndian.AppendUint64(b, received)
	return binary.BigEndian.AppendUint64(b, limit)
}

func appendSync(b []byte, epoch uint32, received, limit uint64) []byte {
	b = append(b, recSync)
	b = binary.BigEndian.AppendUint32(b, epoch)
	b = binary.BigEndian.AppendUint64(b, received)
	return binary.BigEndian.AppendUint64(b, limit)
}

func appendProbe(b []byte, nonce, sent uint64) []byte {
	b = append(b, recProbe)
	b = binary.BigEndian.AppendUint64(b, nonce)
	return binary.BigEndian.AppendUint64(b, sent)
}

func appendProbeAck(b []byte, nonce, received uint64) []byte {
	b = append(b, recProbeAck)
	b = binary.BigEndian.AppendUint64(b, nonce)
	return binary.BigEndian.AppendUint64(b, received)
}

func appendClose(b []byte, code Code, text string) []byte {
	b = append(b, recClose)
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, text[:min(len(text), maxPeerText)]...)
}

// parseRecord takes the first record off a message. An unknown type is an error, as its length cannot be known: a new
// record comes with a new protocol version.
func parseRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) == 0 {
		return r, nil, protocolError("empty message")
	}
	r.typ = b[0]
	need := 0
	switch r.typ {
	case recHello, recWelcome, recRefuse:
		r.data = b[1:]
		return r, nil, nil
	case recData:
		need = dataHeader
	case recAck:
		need = ackSize
	case recSync:
		need = syncSize
	case recProbe:
		need = probeSize
	case recProbeAck:
		need = probeAckSize
	case recClose:
		need = closeHeader
	default:
		return r, nil, protocolError("unknown record 0x%02x", r.typ)
	}
	if len(b) < need {
		return r, nil, protocolError("record 0x%02x of %d bytes instead of %d", r.typ, len(b), need)
	}
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	switch r.typ {
	case recData:
		r.offset, r.data = u64(1), b[dataHeader:]
		if r.offset > math.MaxUint64-uint64(len(r.data)) {
			return r, nil, protocolError("data at offset %d wraps round", r.offset)
		}
		return r, nil, nil
	case recAck:
		r.received, r.limit = u64(1), u64(9)
	case recSync:
		r.epoch, r.received, r.limit = binary.BigEndian.Uint32(b[1:]), u64(5), u64(13)
	case recProbe:
		r.nonce, r.offset = u64(1), u64(9)
	case recProbeAck:
		r.nonce, r.received = u64(1), u64(9)
	case recClose:
		r.code, r.data = Code(binary.BigEndian.Uint16(b[1:])), b[closeHeader:]
		return r, nil, nil
	}
	return r, b[need:], nil
}
