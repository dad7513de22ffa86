package e2ee

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"

	"culvert/sbrp"
)

// sessionVectors is what the groups of session.json share.
type sessionVectors struct {
	keys map[direction][]byte
	sid  sbrp.SessionID
}

func TestVectorsSession(t *testing.T) {
	v := sessionVectors{keys: map[direction][]byte{}}
	// keys and sid come first: the other groups need them
	runVectors(t, "testdata/session.json", sessionGroups(map[string]group{
		"keys": func(t *testing.T, raw json.RawMessage) {
			var keys struct {
				C2D hexBytes `json:"client_to_daemon"`
				D2C hexBytes `json:"daemon_to_client"`
			}
			strict(t, raw, &keys)
			v.keys[clientToDaemon], v.keys[daemonToClient] = keys.C2D, keys.D2C
		},
		"sid": func(t *testing.T, raw json.RawMessage) {
			var sid decimal
			strict(t, raw, &sid)
			v.sid = sbrp.SessionID(sid)
		},
	}))
	if len(v.keys) != 2 || v.sid == 0 {
		t.Fatal("no keys or no session id")
	}
	runVectors(t, "testdata/session.json", sessionGroups(map[string]group{
		"window_size":       v.checkWindowSize,
		"encrypt":           rows(v.checkEncrypt),
		"single":            rows(v.checkSingle),
		"too_large":         v.checkTooLarge,
		"decrypt":           rows(v.checkDecrypt),
		"sender_exhaustion": v.checkExhaustion,
	}))
}

// sessionGroups fills up one pass over session.json with notes for the groups of the other.
func sessionGroups(checks map[string]group) map[string]group {
	all := map[string]group{
		"description": note, "source": note, "source_detail": note,
		"keys": note, "sid": note,
		"window_size": note, "encrypt": note, "single": note, "too_large": note, "decrypt": note, "sender_exhaustion": note,
	}
	maps.Copy(all, checks)
	return all
}

func parseDirection(t *testing.T, s string) direction {
	t.Helper()
	switch s {
	case "client_to_daemon":
		return clientToDaemon
	case "daemon_to_client":
		return daemonToClient
	default:
		t.Fatalf("direction %q", s)
		return 0
	}
}

func (v sessionVectors) checkWindowSize(t *testing.T, raw json.RawMessage) {
	var size int
	strict(t, raw, &size)
	if WindowSize < size { // section 4: at least that many
		t.Errorf("got %d, want at least %d", WindowSize, size)
	}
}

type sealedRow struct {
	Name          string    `json:"name"`
	Direction     string    `json:"direction"`
	Seq           decimal   `json:"seq"`
	Plaintext     hexBytes  `json:"plaintext"`
	Nonce         *hexBytes `json:"nonce"`
	Ciphertext    *hexBytes `json:"ciphertext"`
	Tag           *hexBytes `json:"tag"`
	Payload       hexBytes  `json:"payload"`
	PayloadLength *int      `json:"payload_length"`
	Frame         *hexBytes `json:"frame"`
	FrameLength   *int      `json:"frame_length"`
}

// check seals and opens one message, into a new buffer and in place in a frame's buffer.
func (v sessionVectors) check(t *testing.T, s *Sealer, row sealedRow) {
	t.Helper()
	seq := uint64(row.Seq)
	if s.Sequence() != seq {
		t.Fatalf("sequence: got %d, want %d", s.Sequence(), seq)
	}
	got, err := s.Seal(nil, row.Plaintext)
	if err != nil || !bytes.Equal(got, row.Payload) {
		t.Fatalf("Seal: got %.80x, %v; want %.80v", got, err, row.Payload)
	}
	n := len(got)
	for what, part := range map[string]struct {
		got  []byte
		want *hexBytes
	}{
		"nonce":      {got[:sbrp.NonceSize], row.Nonce},
		"ciphertext": {got[sbrp.NonceSize : n-sbrp.TagSize], row.Ciphertext},
		"tag":        {got[n-sbrp.TagSize:], row.Tag},
	} {
		if part.want != nil && !bytes.Equal(part.got, *part.want) {
			t.Errorf("%s: got %x, want %v", what, part.got, *part.want)
		}
	}

	frame := make([]byte, sbrp.MaxFrame)
	sbrp.PutHeader(frame, sbrp.FrameData, v.sid, n)
	plain := frame[sbrp.HeaderSize+sbrp.NonceSize:][:copy(frame[sbrp.HeaderSize+sbrp.NonceSize:], row.Plaintext)]
	s.next = seq
	sealed, err := s.Seal(frame[:sbrp.HeaderSize], plain)
	if err != nil || &sealed[0] != &frame[0] || !bytes.Equal(sealed[sbrp.HeaderSize:], row.Payload) {
		t.Fatalf("Seal in place: got %.80x, %v; want %.80v", sealed, err, row.Payload)
	}
	if row.Frame != nil && !bytes.Equal(sealed, *row.Frame) {
		t.Errorf("frame: got %x, want %v", sealed, *row.Frame)
	}
	if row.PayloadLength != nil && n != *row.PayloadLength || row.FrameLength != nil && len(sealed) != *row.FrameLength {
		t.Errorf("got a payload of %d, a frame of %d; want %d, %d", n, len(sealed), *row.PayloadLength, *row.FrameLength)
	}

	o := newOpener(v.keys[s.dir], s.dir, WindowSize)
	if plain, err := o.Open(nil, row.Payload); err != nil || !bytes.Equal(plain, row.Plaintext) {
		t.Errorf("Open: got %.80x, %v", plain, err)
	}
	if high, ok := o.Highest(); !ok || high != seq {
		t.Errorf("highest: got %d, want %d", high, seq)
	}
	body := sealed[sbrp.HeaderSize:]
	o = newOpener(v.keys[s.dir], s.dir, WindowSize)
	if plain, err := o.Open(body[sbrp.NonceSize:sbrp.NonceSize], body); err != nil || !bytes.Equal(plain, row.Plaintext) {
		t.Errorf("Open in place: got %.80x, %v", plain, err)
	}
}

func (v sessionVectors) checkEncrypt(t *testing.T, row struct {
	Name      string      `json:"name"`
	Direction string      `json:"direction"`
	SID       decimal     `json:"sid"`
	Messages  []sealedRow `json:"messages"`
}) {
	if len(row.Messages) == 0 || sbrp.SessionID(row.SID) != v.sid {
		t.Fatalf("%d messages for session %d", len(row.Messages), row.SID)
	}
	dir := parseDirection(t, row.Direction)
	s := newSealer(v.keys[dir], dir)
	for _, m := range row.Messages {
		v.check(t, s, m)
	}
}

func (v sessionVectors) checkSingle(t *testing.T, row sealedRow) {
	dir := parseDirection(t, row.Direction)
	s := newSealer(v.keys[dir], dir)
	s.next = uint64(row.Seq)
	v.check(t, s, row)
}

func (v sessionVectors) checkTooLarge(t *testing.T, raw json.RawMessage) {
	var row struct {
		PlaintextZeros  int    `json:"plaintext_zeros"`
		Encrypt         string `json:"encrypt"` // the reference seals it, and then cannot send it
		EncodeDataError string `json:"encode_data_error"`
	}
	strict(t, raw, &row)
	s := newSealer(v.keys[clientToDaemon], clientToDaemon)
	_, err := s.Seal(nil, make([]byte, row.PlaintextZeros))
	wantCode(t, "Seal", err, row.EncodeDataError)
	if s.Sequence() != 0 {
		t.Error("a refused message used up a sequence number")
	}
	if _, err := s.Seal(nil, make([]byte, row.PlaintextZeros-1)); err != nil {
		t.Errorf("one byte less: %v", err)
	}
}

type decryptStep struct {
	Payload        hexBytes  `json:"payload"`
	Plaintext      *hexBytes `json:"plaintext"`
	Error          *string   `json:"error"`
	Exception      bool      `json:"exception"`
	MaxSeenAfter   string    `json:"max_seen_after"`
	Seq            *decimal  `json:"seq"`
	Note           string    `json:"note"`
	ReferenceQuirk bool      `json:"reference_quirk"`
	Alternative    *struct {
		Plaintext *hexBytes `json:"plaintext"`
		Error     *string   `json:"error"`
	} `json:"alternative"`
}

type decryptRow struct {
	Name          string        `json:"name"`
	Direction     string        `json:"direction"`
	WindowSize    int           `json:"window_size"`
	Same128       bool          `json:"same_with_window_128"`
	Same1024      bool          `json:"same_with_window_1024"`
	Note          string        `json:"note"`
	Informational string        `json:"informational"`
	Steps         []decryptStep `json:"steps"`
}

func (v sessionVectors) checkDecrypt(t *testing.T, row decryptRow) {
	if len(row.Steps) == 0 {
		t.Fatal("no steps")
	}
	sizes := []int{row.WindowSize}
	if row.Same128 {
		sizes = append(sizes, 128)
	}
	if row.Same1024 {
		sizes = append(sizes, 1024)
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) { v.runDecrypt(t, row, size) })
	}
}

// runDecrypt runs the steps through one receiver. The reference moves its window before it checks the tag, so its highest is compared only until a tag was
// bad; ours is always the highest of what was opened.
func (v sessionVectors) runDecrypt(t *testing.T, row decryptRow, window int) {
	dir := parseDirection(t, row.Direction)
	o := newOpener(v.keys[dir], dir, window)
	highest, any, comparable := uint64(0), false, true
	for i, step := range row.Steps {
		want, wantErr := step.Plaintext, step.Error
		if step.ReferenceQuirk {
			want, wantErr = step.Alternative.Plaintext, step.Alternative.Error
		}
		if step.Exception { // a plain exception, where section 4 says decrypt_failed
			wantErr = new("decrypt_failed")
		}
		if (want == nil) == (wantErr == nil) {
			t.Fatalf("step %d wants both or neither of a plaintext and an error", i)
		}
		got, err := o.Open(nil, step.Payload)
		if row.Informational == "" {
			code := ""
			if wantErr != nil {
				code = *wantErr
			}
			wantCode(t, fmt.Sprintf("step %d", i), err, code)
			if want != nil && !bytes.Equal(got, *want) {
				t.Errorf("step %d: got %x, want %v", i, got, *want)
			}
		}
		if err == nil {
			seq := beUint64(step.Payload[4:sbrp.NonceSize])
			if step.Seq != nil && seq != uint64(*step.Seq) {
				t.Errorf("step %d: sequence %d, want %d", i, seq, *step.Seq)
			}
			highest, any = max(highest, seq), true
		} else if got != nil {
			t.Errorf("step %d: an error with %d bytes of plaintext", i, len(got))
		}
		if high, ok := o.Highest(); high != highest || ok != any {
			t.Errorf("step %d: highest: got %d %v, want %d %v", i, high, ok, highest, any)
		}
		if errors.Is(err, &sbrp.Error{Code: sbrp.CodeDecryptFailed}) || step.ReferenceQuirk {
			comparable = false
		}
		if comparable && fmt.Sprint(highest) != step.MaxSeenAfter {
			t.Errorf("step %d: highest: got %d, the file has %s", i, highest, step.MaxSeenAfter)
		}
	}
}

func beUint64(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func (v sessionVectors) checkExhaustion(t *testing.T, raw json.RawMessage) {
	var row struct {
		StartSeq  decimal `json:"start_seq"`
		Reference []struct {
			Seq   string   `json:"seq"` // may be 2^64
			Nonce hexBytes `json:"nonce"`
		} `json:"reference"`
		Expect         string `json:"expect"`
		ReferenceQuirk bool   `json:"reference_quirk"`
		Note           string `json:"note"`
	}
	strict(t, raw, &row)
	s := newSealer(v.keys[clientToDaemon], clientToDaemon)
	s.next = uint64(row.StartSeq)
	got, err := s.Seal(nil, []byte("last"))
	if err != nil || !bytes.Equal(got[:sbrp.NonceSize], row.Reference[0].Nonce) {
		t.Errorf("the last message: got %x, %v; want nonce %v", got, err, row.Reference[0].Nonce)
	}
	for range row.Reference[1:] { // the reference goes on and wraps; section 4: a sender at 2^64-1 sends nothing more
		if got, err := s.Seal([]byte("x"), []byte("more")); !errors.Is(err, ErrExhausted) || string(got) != "x" {
			t.Errorf("got %x, %v; want ErrExhausted and dst unchanged", got, err)
		}
	}
	if s.Sequence() != 1<<64-1 {
		t.Errorf("sequence: got %d", s.Sequence())
	}
}
