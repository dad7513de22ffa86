package sbrp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestVectorsFrames(t *testing.T) {
	runVectors(t, "frames.json", map[string]group{
		"description":    note,
		"source":         note,
		"source_detail":  note,
		"constants":      checkConstants,
		"encode":         rows(checkEncode),
		"encode_errors":  rows(checkEncodeError),
		"decode":         rows(checkDecode),
		"decode_errors":  rows(checkDecodeError),
		"wrong_type":     rows(checkWrongType),
		"stream":         rows(checkStream),
		"spec_direction": checkDirections,
	})
}

// vectorConstants are the names that the files give to our sizes.
var vectorConstants = map[string]int{
	"AUTH_TAG_LENGTH":               TagSize,
	"ED25519_PRIVATE_KEY_LENGTH":    KeySize,
	"ED25519_PUBLIC_KEY_LENGTH":     KeySize,
	"ED25519_SIGNATURE_LENGTH":      SignatureSize,
	"FRAME_HEADER_SIZE":             HeaderSize,
	"HANDSHAKE_ACCEPT_PAYLOAD_SIZE": AcceptSize,
	"HANDSHAKE_INIT_PAYLOAD_SIZE":   InitSize,
	"MAX_PAYLOAD_SIZE":              MaxPayload,
	"MAX_PING_PAYLOAD_SIZE":         MaxPing,
	"MIN_CONTROL_PAYLOAD_SIZE":      MinControl,
	"MIN_ENCRYPTED_PAYLOAD_SIZE":    MinSealed,
	"NONCE_LENGTH":                  NonceSize,
	"SIGNAL_PAYLOAD_SIZE":           SignalSize,
	"SYMMETRIC_KEY_LENGTH":          KeySize,
	"X25519_PRIVATE_KEY_LENGTH":     KeySize,
	"X25519_PUBLIC_KEY_LENGTH":      KeySize,
	// checked by the tests of e2ee, which has them
	"DEFAULT_REPLAY_WINDOW_SIZE": -1,
	"SESSION_KEYS_LENGTH":        -1,
}

func checkConstants(t *testing.T, raw json.RawMessage) {
	var got map[string]int
	strict(t, raw, &got)
	if len(got) == 0 {
		t.Fatal("no constants")
	}
	for name, value := range got {
		ours, ok := vectorConstants[name]
		if !ok {
			t.Errorf("constant %s = %d has no counterpart", name, value)
		} else if ours != value && ours >= 0 {
			t.Errorf("%s: got %d, want %d", name, ours, value)
		}
	}
}

// vectorFields are a frame's fields, on the way in (fields) and out (decoded, message).
type vectorFields struct {
	InitPublicKey     *hexBytes `json:"init_public_key"`
	IdentityPublicKey *hexBytes `json:"identity_public_key"`
	AcceptPublicKey   *hexBytes `json:"accept_public_key"`
	Signature         *hexBytes `json:"signature"`
	Data              *hexBytes `json:"data"`
	DataZeros         *int      `json:"data_zeros"`
	Seq               *decimal  `json:"seq"`
	Signal            *Signal   `json:"signal"`
	Reason            *Reason   `json:"reason"`
	Payload           *hexBytes `json:"payload"`
	Code              *Code     `json:"code"`
	Name              *string   `json:"name"`
	Terminal          *bool     `json:"terminal"`
	Message           *string   `json:"message"`
	MessageRepeatA    *int      `json:"message_repeat_a"`
}

// payload builds the payload of a frame of this kind. Fields that the row leaves out are zeros of the right size.
func (f vectorFields) payload(kind string) []byte {
	or := func(b *hexBytes, n int) []byte {
		if b == nil {
			return make([]byte, n)
		}
		return *b
	}
	switch kind {
	case "HandshakeInit":
		return or(f.InitPublicKey, InitSize)
	case "HandshakeAccept":
		return slices.Concat(or(f.IdentityPublicKey, KeySize), or(f.AcceptPublicKey, KeySize), or(f.Signature, SignatureSize))
	case "Data":
		if f.DataZeros != nil {
			return make([]byte, *f.DataZeros)
		}
		return or(f.Data, MinSealed)
	case "Signal":
		return []byte{byte(*f.Signal), byte(*f.Reason)}
	case "Ping", "Pong":
		return or(f.Payload, 0)
	case "Control":
		text := ""
		if f.Message != nil {
			text = *f.Message
		}
		if f.MessageRepeatA != nil {
			text = strings.Repeat("a", *f.MessageRepeatA)
		}
		return append(binary.BigEndian.AppendUint16(nil, uint16(*f.Code)), text...)
	default:
		panic("unknown kind " + kind)
	}
}

// check compares a parsed frame with the fields that the row gives.
func (f vectorFields) check(t *testing.T, got Frame, informational bool) {
	t.Helper()
	same := func(what string, got []byte, want *hexBytes) {
		if want != nil && !bytes.Equal(got, *want) {
			t.Errorf("%s: got %x, want %v", what, got, want)
		}
	}
	switch got.Type {
	case FrameHandshakeInit:
		same("init_public_key", got.Payload, f.InitPublicKey)
	case FrameHandshakeAccept:
		same("identity_public_key", got.Payload[:32], f.IdentityPublicKey)
		same("accept_public_key", got.Payload[32:64], f.AcceptPublicKey)
		same("signature", got.Payload[64:], f.Signature)
	case FrameData:
		same("data", got.Payload, f.Data)
		if seq := binary.BigEndian.Uint64(got.Payload[4:NonceSize]); f.Seq != nil && seq != uint64(*f.Seq) {
			t.Errorf("seq: got %d, want %d", seq, *f.Seq)
		}
	case FrameSignal:
		s, r, err := ParseSignal(got.Payload)
		if err != nil || s != *f.Signal || r != *f.Reason {
			t.Errorf("ParseSignal: got %v %v %v, want %v %v", s, r, err, *f.Signal, *f.Reason)
		}
	case FrameControl:
		c, text, err := ParseControl(got.Payload)
		if err != nil || c != *f.Code || c.String() != *f.Name || c.Terminal() != *f.Terminal {
			t.Errorf("ParseControl: got %v terminal %v %v, want %v terminal %v", c, c.Terminal(), err, *f.Name, *f.Terminal)
		}
		if text != *f.Message && !informational {
			t.Errorf("text: got %q, want %q", text, *f.Message)
		}
	}
}

type encodeRow struct {
	Name          string        `json:"name"`
	Kind          string        `json:"kind"`
	Type          FrameType     `json:"type"`
	SID           decimal       `json:"sid"`
	Fields        vectorFields  `json:"fields"`
	Payload       *hexBytes     `json:"payload"`
	PayloadLength *int          `json:"payload_length"`
	PayloadSHA256 *hexBytes     `json:"payload_sha256"`
	Frame         hexBytes      `json:"frame"`
	Decoded       *vectorFields `json:"decoded"`
}

func checkEncode(t *testing.T, row encodeRow) {
	if got := row.Type.String(); got != row.Kind {
		t.Errorf("type 0x%02x: got %s, want %s", uint8(row.Type), got, row.Kind)
	}
	id, payload := SessionID(row.SID), row.Fields.payload(row.Kind)
	checkPayload(t, payload, row.Payload, row.PayloadLength, row.PayloadSHA256)

	want := append([]byte("before"), row.Frame...)
	got, err := Frame{row.Type, id, payload}.Append([]byte("before"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Append: got %.80x %v, want %.80x", got, err, want)
	}
	if got := AppendFrame([]byte("before"), row.Type, id, payload); !bytes.Equal(got, want) {
		t.Errorf("AppendFrame: got %.80x, want %.80x", got, want)
	}
	if got, ok := appendTyped(row, []byte("before")); ok && !bytes.Equal(got, want) {
		t.Errorf("typed append: got %.80x, want %.80x", got, want)
	}
	for name, parse := range map[string]func([]byte) (Frame, error){"ParseFrame": ParseFrame, "ParseEndpointFrame": ParseEndpointFrame} {
		f, err := parse(row.Frame)
		if err != nil || f.Type != row.Type || f.SessionID != id || !bytes.Equal(f.Payload, payload) {
			t.Fatalf("%s: got %v %d (%d bytes) %v", name, f.Type, f.SessionID, len(f.Payload), err)
		}
		if row.Decoded != nil {
			row.Decoded.check(t, f, false)
		}
	}
}

// appendTyped builds the row's frame with the function for its type, if there is one.
func appendTyped(row encodeRow, b []byte) ([]byte, bool) {
	id := SessionID(row.SID)
	switch row.Type {
	case FrameSignal:
		return AppendSignal(b, id, *row.Fields.Signal, *row.Fields.Reason), true
	case FrameControl:
		return AppendControl(b, id, *row.Fields.Code, *row.Fields.Message), true
	case FramePing:
		return AppendPing(b, *row.Fields.Payload), true
	case FramePong:
		return AppendPong(b, *row.Fields.Payload), true
	default:
		return nil, false
	}
}

// checkPayload compares a payload with the row's, which is given whole or as length and hash.
func checkPayload(t *testing.T, got []byte, whole *hexBytes, length *int, sum *hexBytes) {
	t.Helper()
	if whole == nil && sum == nil {
		t.Error("the row gives neither payload nor payload_sha256")
	}
	if whole != nil && !bytes.Equal(got, *whole) {
		t.Errorf("payload: got %.80x, want %.80v", got, *whole)
	}
	if length != nil && len(got) != *length {
		t.Errorf("payload: got %d bytes, want %d", len(got), *length)
	}
	if h := sha256.Sum256(got); sum != nil && !bytes.Equal(h[:], *sum) {
		t.Errorf("payload: got SHA-256 %x, want %v", h, *sum)
	}
}

type encodeErrorRow struct {
	Name             string       `json:"name"`
	Kind             string       `json:"kind"`
	SID              string       `json:"sid"`
	Fields           vectorFields `json:"fields"`
	Error            string       `json:"error"`
	LanguageSpecific string       `json:"language_specific"`
}

// kinds are the frame types by the names of the files.
var kinds = map[string]FrameType{
	"HandshakeInit": FrameHandshakeInit, "HandshakeAccept": FrameHandshakeAccept, "Data": FrameData, "Signal": FrameSignal,
	"Ping": FramePing, "Pong": FramePong, "Control": FrameControl,
}

func checkEncodeError(t *testing.T, row encodeErrorRow) {
	id, err := strconv.ParseUint(row.SID, 10, 64)
	if row.LanguageSpecific != "" {
		if err == nil {
			t.Errorf("session id %s fits a uint64, so the row is not specific to another language", row.SID)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	f := Frame{kinds[row.Kind], SessionID(id), row.Fields.payload(row.Kind)}
	got, err := f.Append([]byte("before"))
	wantCode(t, "Append", err, row.Error)
	if string(got) != "before" {
		t.Errorf("Append with an error: got %d bytes, want b unchanged", len(got))
	}
}

// decodeHex is for tests that write bytes down.
func decodeHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
