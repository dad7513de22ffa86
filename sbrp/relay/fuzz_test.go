package relay_test

import (
	"encoding/binary"
	"testing"

	"culvert/sbrp"
)

// verdict is spec section 2's answer to a message, written down a second time and without package sbrp's parser. ok: the relay
// keeps the connection.
func verdict(msg []byte, client bool, bound uint64) (code sbrp.Code, sid uint64, ok bool) {
	if len(msg) < 13 {
		return sbrp.CodeMalformedFrame, 0, false
	}
	typ, length := msg[0], int64(binary.BigEndian.Uint32(msg[1:]))
	id, payload := binary.BigEndian.Uint64(msg[5:]), msg[13:]
	switch {
	case length > 65536:
		return sbrp.CodePayloadTooLarge, 0, false
	case length != int64(len(payload)):
		return sbrp.CodeMalformedFrame, 0, false
	}
	session := typ >= 1 && typ <= 4
	ping := typ == 0x10 || typ == 0x11
	switch {
	case !session && !ping && typ != 0x20:
		return sbrp.CodeInvalidFrameType, 0, false
	case session && id == 0, ping && id != 0:
		return sbrp.CodeInvalidSessionID, 0, false
	case ping && length > 8:
		return sbrp.CodeMalformedFrame, 0, false
	case typ == 0x20, client && (typ == 2 || typ == 4), !client && typ == 1:
		return sbrp.CodeDisallowedSender, id, false
	case client && session && id != bound:
		return sbrp.CodeSessionNotFound, id, false
	case typ == 4 && (length != 2 || payload[0] > 1):
		return sbrp.CodeMalformedFrame, 0, false
	}
	return 0, 0, true
}

// FuzzMessages sends any message, as a client and as a daemon with a session, to a real relay: it answers as the spec says, goes on,
// and nobody else notices.
func FuzzMessages(f *testing.F) {
	for _, tt := range brokenFrames {
		if len(tt.frame) <= sbrp.MaxFrame {
			f.Add(tt.frame)
		}
	}
	for _, rows := range brokenBy {
		for _, tt := range rows {
			f.Add(tt.frame)
		}
	}
	f.Add(initFrame(7))
	f.Add(acceptFrame(7))
	f.Add(dataFrame(7, 40, 1))
	f.Add(dataFrame(99, 40, 1))
	f.Add(sbrp.AppendSignal(nil, 7, sbrp.SignalClose, sbrp.ReasonNone))
	f.Add(sbrp.AppendPing(nil, []byte("x")))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > sbrp.MaxFrame {
			return // wsconn does not send it; the conformance suite does
		}
		r := newRig(t, nil)
		bystander := r.daemon("other")
		for _, client := range []bool{true, false} {
			d := r.daemon("d")
			c := r.session(d, "d", 7)
			e := d
			if client {
				e = c
			}
			e.send(msg)
			if code, sid, ok := verdict(msg, client, 7); !ok {
				e.wantLast(code, sbrp.SessionID(sid))
			} else if !closesClient(msg) || !client {
				e.chatter()
			}
			bystander.sync()
			c.close()
			d.close()
			eventually(t, "both have gone", func() bool { s := r.srv.Stats(); return s.Clients == 0 && s.Daemons == 1 })
		}
	})
}

// closesClient reports whether a good frame ends the session that it names.
func closesClient(msg []byte) bool { return msg[0] == byte(sbrp.FrameSignal) }
