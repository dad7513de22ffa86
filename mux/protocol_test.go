package mux

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestRecordsRoundTrip(t *testing.T) {
	tests := []struct {
		name string
		wire []byte
		want record
	}{
		{"data", append(appendDataHeader(nil, 7), "xyz"...), record{typ: recData, offset: 7, data: []byte("xyz")}},
		{"data at the end of numbers", appendDataHeader(nil, math.MaxUint64), record{typ: recData, offset: math.MaxUint64, data: []byte{}}},
		{"ack", appendAck(nil, 1, 2), record{typ: recAck, received: 1, limit: 2}},
		{"sync", appendSync(nil, 9, 1, 2), record{typ: recSync, epoch: 9, received: 1, limit: 2}},
		{"probe", appendProbe(nil, 3, 4), record{typ: recProbe, nonce: 3, offset: 4}},
		{"probe ack", appendProbeAck(nil, 3, 4), record{typ: recProbeAck, nonce: 3, received: 4}},
		{"close", appendClose(nil, CodeRevoked, "go"), record{typ: recClose, code: CodeRevoked, data: []byte("go")}},
		{"hello", []byte{recHello, 1, 2}, record{typ: recHello, data: []byte{1, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, err := parseRecord(tt.wire)
			if err != nil || len(rest) != 0 {
				t.Fatalf("parse %x: %v, rest %x", tt.wire, err, rest)
			}
			if !bytes.Equal(got.data, tt.want.data) {
				t.Errorf("parse %x: data %q, want %q", tt.wire, got.data, tt.want.data)
			}
			got.data, tt.want.data = nil, nil
			if got.typ != tt.want.typ || got.offset != tt.want.offset || got.received != tt.want.received || got.limit != tt.want.limit ||
				got.nonce != tt.want.nonce || got.epoch != tt.want.epoch || got.code != tt.want.code {
				t.Errorf("parse %x: got %+v, want %+v", tt.wire, got, tt.want)
			}
		})
	}
}

// TestRecordLayout holds the bytes of PROTOCOL.md.
func TestRecordLayout(t *testing.T) {
	tests := []struct{ got, want []byte }{
		{appendDataHeader(nil, 0x0102030405060708), []byte{0x10, 1, 2, 3, 4, 5, 6, 7, 8}},
		{appendAck(nil, 1, 2), []byte{0x11, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}},
		{appendSync(nil, 3, 1, 2), []byte{0x12, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}},
		{appendProbe(nil, 1, 2), []byte{0x13, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}},
		{appendProbeAck(nil, 1, 2), []byte{0x14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}},
		{appendClose(nil, 2, "no"), []byte{0x1F, 0, 2, 'n', 'o'}},
	}
	for _, tt := range tests {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("got %x, want %x", tt.got, tt.want)
		}
	}
}

func TestBadRecords(t *testing.T) {
	tests := map[string][]byte{
		"nothing":         {},
		"unknown":         {0x7f, 1, 2, 3},
		"zero":            {0},
		"short data":      appendDataHeader(nil, 1)[:8],
		"short ack":       appendAck(nil, 1, 2)[:16],
		"short sync":      appendSync(nil, 1, 2, 3)[:20],
		"short probe":     appendProbe(nil, 1, 2)[:16],
		"short probe ack": appendProbeAck(nil, 1, 2)[:16],
		"short close":     {recClose, 0},
		"wrapping data":   append(appendDataHeader(nil, math.MaxUint64), 1),
	}
	for name, b := range tests {
		if _, _, err := parseRecord(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s (%x): got %v, want a breach of the protocol", name, b, err)
		}
	}
}

func TestCloseTextIsCut(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 10_000)
	if n := len(appendClose(nil, CodeNormal, string(long))); n != closeHeader+maxPeerText {
		t.Errorf("CLOSE of %d bytes, want %d", n, closeHeader+maxPeerText)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(appendProbe(appendAck(nil, 1, 2), 3, 4))
	f.Add(append(appendDataHeader(appendSync(nil, 1, 2, 3), 4), "data"...))
	f.Add(appendClose(nil, CodeNormal, "bye"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			r, rest, err := parseRecord(b)
			if err != nil {
				if !errors.Is(err, ErrProtocol) {
					t.Fatalf("parse %x: %v blames nobody", b, err)
				}
				return
			}
			if len(rest) >= len(b) {
				t.Fatalf("parse %x: nothing taken", b)
			}
			if r.typ == recData && r.offset+uint64(len(r.data)) < r.offset {
				t.Fatalf("parse %x: wraps round", b)
			}
			if again, ok := written(r); ok && !bytes.Equal(again, b[:len(b)-len(rest)]) {
				t.Fatalf("parse %x: %+v, which is written %x", b[:len(b)-len(rest)], r, again)
			}
			b = rest
		}
	})
}

// written is a record as we would send it; false: one whose body is for others to read.
func written(r record) ([]byte, bool) {
	switch r.typ {
	case recData:
		return append(appendDataHeader(nil, r.offset), r.data...), true
	case recAck:
		return appendAck(nil, r.received, r.limit), true
	case recSync:
		return appendSync(nil, r.epoch, r.received, r.limit), true
	case recProbe:
		return appendProbe(nil, r.nonce, r.offset), true
	case recProbeAck:
		return appendProbeAck(nil, r.nonce, r.received), true
	case recClose:
		return appendClose(nil, r.code, string(r.data)), len(r.data) <= maxPeerText
	default:
		return nil, false
	}
}

// FuzzMessages gives a live link whatever messages: it must not panic, nor take bytes that it did not allow.
func FuzzMessages(f *testing.F) {
	f.Add(append(appendDataHeader(nil, 0), "data"...), appendAck(nil, 3, 100))
	f.Add(appendSync(nil, 1, 0, 5000), appendProbe(nil, 1, 9))
	f.Add(appendAck(nil, 1<<60, 0), appendClose(nil, 7, "x"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		l, att := attachedLink(t)
		defer l.end(&LinkError{Code: CodeNormal}, false)
		if err := l.append([]byte("0123456789"), nil, 0); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		buf := l.compose(att, make([]byte, 0, 1<<17))
		l.mu.Unlock()
		for _, msg := range [][]byte{buf[:0], first, second, first} {
			if len(msg) == 0 {
				continue
			}
			data, err := l.take(att, msg)
			if err != nil {
				return
			}
			if l.err() != nil {
				return
			}
			l.mu.Lock()
			if l.received > l.limitSent || len(data) > len(msg) || l.buf.start > l.maxSent || l.sent > l.buf.end || l.sent < l.buf.start {
				t.Errorf("after %x: received %d, limit %d, acknowledged %d, sent %d of %d", msg, l.received, l.limitSent, l.buf.start, l.sent, l.buf.end)
			}
			if l.sendable() {
				l.compose(att, make([]byte, 0, 1<<17))
			}
			l.mu.Unlock()
		}
	})
}
