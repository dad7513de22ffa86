package sbrp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

type decodeRow struct {
	Name           string       `json:"name"`
	Bytes          hexBytes     `json:"bytes"`
	Type           FrameType    `json:"type"`
	Length         int          `json:"length"`
	SID            decimal      `json:"sid"`
	Payload        hexBytes     `json:"payload"`
	Message        vectorFields `json:"message"`
	Note           string       `json:"note"`
	ReferenceQuirk bool         `json:"reference_quirk"`
	Informational  string       `json:"informational"`
	Spec           string       `json:"spec"`
}

func checkDecode(t *testing.T, row decodeRow) {
	for name, parse := range map[string]func([]byte) (Frame, error){"ParseFrame": ParseFrame, "ParseEndpointFrame": ParseEndpointFrame} {
		f, err := parse(row.Bytes)
		if row.ReferenceQuirk { // section 2: a Ping payload over 8 bytes is malformed_frame
			if !row.Type.connectionBound() || row.Length <= MaxPing {
				t.Errorf("a quirk that section 2 does not decide: %s", row.Spec)
			}
			wantCode(t, name, err, "malformed_frame")
			continue
		}
		if err != nil || f.Type != row.Type || uint64(f.SessionID) != uint64(row.SID) || len(f.Payload) != row.Length || !bytes.Equal(f.Payload, row.Payload) {
			t.Fatalf("%s: got %v %d %x %v", name, f.Type, f.SessionID, f.Payload, err)
		}
		row.Message.check(t, f, row.Informational != "")
	}
}

type decodeErrorRow struct {
	Name           string   `json:"name"`
	Bytes          hexBytes `json:"bytes"`
	Stage          string   `json:"stage"`
	Error          string   `json:"error"`
	HeaderSID      *decimal `json:"header_sid"`
	HeaderSIDZero  *bool    `json:"header_sid_zero"`
	Differs        bool     `json:"differs_from_spec"`
	Note           string   `json:"note"`
	ReferenceQuirk bool     `json:"reference_quirk"`
	Spec           string   `json:"spec"`
	SpecRelay      struct {
		Error        *string  `json:"error"`
		AnyOf        []string `json:"any_of"`
		ReplySIDZero *bool    `json:"reply_sid_zero"`
		Note         string   `json:"note"`
	} `json:"spec_relay"`
}

func checkDecodeError(t *testing.T, row decodeErrorRow) {
	if len(row.Bytes) >= HeaderSize {
		h := readHeader(row.Bytes)
		if uint64(h.id) != uint64(*row.HeaderSID) || (h.id == 0) != *row.HeaderSIDZero {
			t.Errorf("header's session id: got %d, want %d", h.id, *row.HeaderSID)
		}
	}
	t.Run("endpoint", func(t *testing.T) { checkEndpointError(t, row) })
	t.Run("decoder", func(t *testing.T) { checkDecoderError(t, row) })
	t.Run("relay", func(t *testing.T) { checkRelayError(t, row) })
}

// checkEndpointError runs a row through an endpoint's decoders.
func checkEndpointError(t *testing.T, row decodeErrorRow) {
	f, err := ParseEndpointFrame(row.Bytes)
	if row.Stage == "message" && err == nil {
		switch f.Type {
		case FrameSignal:
			_, _, err = ParseSignal(f.Payload)
		case FrameControl:
			_, _, err = ParseControl(f.Payload)
		}
	}
	want := row.Error
	switch {
	case row.Stage == "message" && f.Type == FrameHandshakeAccept && len(f.Payload) == AcceptSizeShort:
		want = "" // section 2: a client takes both layouts
	case row.Stage == "message" && f.Type == FrameSignal && row.ReferenceQuirk:
		want = "" // section 2: an unknown reason counts as none
		if _, r, _ := ParseSignal(f.Payload); r != ReasonNone {
			t.Errorf("unknown reason: got %v, want none", r)
		}
	case row.Stage == "message" && f.Type == FrameControl && len(f.Payload) >= MinControl:
		if c := Code(binary.BigEndian.Uint16(f.Payload)); !c.Local() {
			want = "" // section 5: an unknown code is logged and not terminal
			if got, _, _ := ParseControl(f.Payload); got != c || c.Known() || c.Terminal() {
				t.Errorf("unknown code: got %v, known %v, terminal %v", got, c.Known(), c.Terminal())
			}
		}
	case row.ReferenceQuirk:
		t.Errorf("a quirk that this test does not know: %s", row.Spec)
	}
	wantCode(t, "endpoint", err, want)
}

// checkDecoderError runs a row through the streaming decoder, which sees what is wrong with a header and waits for what is missing.
func checkDecoderError(t *testing.T, row decodeErrorRow) {
	var d Decoder
	d.Write(row.Bytes)
	f, ok, err := d.Next()
	switch {
	case row.Stage == "header" && len(row.Bytes) >= HeaderSize:
		wantCode(t, "Next", err, row.Error)
	case err != nil:
		t.Errorf("Next: %v, want none", err)
	case ok != (len(row.Bytes) >= HeaderSize && len(row.Bytes) >= HeaderSize+int(readHeader(row.Bytes).length)):
		t.Errorf("Next: got a frame: %v", ok)
	case ok && row.Stage == "message":
		if err := f.CheckPayload(); err != nil {
			wantCode(t, "CheckPayload", err, row.Error)
		}
	}
}

// checkRelayError runs a row through the relay's checks, for each sender that may get so far.
func checkRelayError(t *testing.T, row decodeErrorRow) {
	want := []string{""}
	switch {
	case row.SpecRelay.AnyOf != nil:
		want = row.SpecRelay.AnyOf
	case row.SpecRelay.Error != nil:
		want = []string{*row.SpecRelay.Error}
	case row.Stage == "frame":
		want = []string{"malformed_frame"} // section 2: a message that is not exactly one frame
	}
	for _, from := range []Role{RoleClient, RoleDaemon} {
		f, err := ParseFrame(row.Bytes)
		if err == nil {
			if f.Type != FrameControl && !f.Type.SentBy(from) {
				continue
			}
			err = CheckSender(f, from, f.SessionID)
		}
		got := ""
		if c, ok := CodeOf(err); ok {
			got = c.String()
		}
		if !slices.Contains(want, got) {
			t.Errorf("from a %v: got %q (%v), want %q", from, got, err, want)
		}
		if e, ok := err.(*Error); ok && row.SpecRelay.ReplySIDZero != nil && (e.SessionID == 0) != *row.SpecRelay.ReplySIDZero {
			t.Errorf("answer's session id: got %d, want zero: %v", e.SessionID, *row.SpecRelay.ReplySIDZero)
		}
		if ok := err == nil; !ok && err.(*Error).Rule == RuleNone {
			t.Errorf("error %v does not say which rule", err)
		}
	}
}

type wrongTypeRow struct {
	Name  string   `json:"name"`
	Frame hexBytes `json:"frame"`
	Error string   `json:"error"`
}

func checkWrongType(t *testing.T, row wrongTypeRow) {
	kind, _, _ := strings.Cut(row.Name, "_decoder_on_")
	want, ok := kinds[kind]
	if !ok {
		t.Fatalf("unknown kind %q", kind)
	}
	f, err := ParseEndpointFrame(row.Frame)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "Expect", f.Expect(want), row.Error)
	wantCode(t, "Expect of its own type", f.Expect(f.Type), "")
}

type streamRow struct {
	Name    string     `json:"name"`
	Note    string     `json:"note"`
	Chunks  []hexBytes `json:"chunks"`
	Results []struct {
		Frames []struct {
			Type          FrameType `json:"type"`
			Length        int       `json:"length"`
			SID           decimal   `json:"sid"`
			Payload       *hexBytes `json:"payload"`
			PayloadSHA256 *hexBytes `json:"payload_sha256"`
		} `json:"frames"`
		Error    *string `json:"error"`
		Buffered int     `json:"buffered"`
	} `json:"results"`
}

func checkStream(t *testing.T, row streamRow) {
	var d Decoder
	if len(row.Chunks) != len(row.Results) {
		t.Fatalf("%d chunks, %d results", len(row.Chunks), len(row.Results))
	}
	for i, chunk := range row.Chunks {
		if n, err := d.Write(chunk); n != len(chunk) || err != nil {
			t.Fatalf("chunk %d: Write: %d, %v", i, n, err)
		}
		want := row.Results[i]
		for j, w := range want.Frames {
			f, ok, err := d.Next()
			if !ok || err != nil || f.Type != w.Type || uint64(f.SessionID) != uint64(w.SID) || len(f.Payload) != w.Length {
				t.Fatalf("chunk %d frame %d: got %v %d (%d bytes) %v %v", i, j, f.Type, f.SessionID, len(f.Payload), ok, err)
			}
			checkPayload(t, f.Payload, w.Payload, nil, w.PayloadSHA256)
		}
		_, ok, err := d.Next()
		if ok {
			t.Errorf("chunk %d: one frame too many", i)
		}
		code := ""
		if want.Error != nil {
			code = *want.Error
		}
		wantCode(t, "Next", err, code)
		if got := d.Buffered(); got != want.Buffered {
			t.Errorf("chunk %d: got %d bytes buffered, want %d", i, got, want.Buffered)
		}
	}
}

func checkDirections(t *testing.T, raw json.RawMessage) {
	var g struct {
		Origin string          `json:"origin"`
		Cases  json.RawMessage `json:"cases"`
	}
	strict(t, raw, &g)
	type row struct {
		From     string    `json:"from"`
		Type     FrameType `json:"type"`
		Kind     string    `json:"kind"`
		SID      decimal   `json:"sid"`
		Allowed  bool      `json:"allowed"`
		Error    *string   `json:"error"`
		ReplySID *decimal  `json:"reply_sid"`
	}
	seen := map[string]bool{}
	rows(func(t *testing.T, r row) {
		seen[r.From+" "+r.Kind] = true
		from := map[string]Role{"client": RoleClient, "daemon": RoleDaemon}[r.From]
		if from.String() != r.From {
			t.Fatalf("role %q: got %v", r.From, from)
		}
		err := CheckSender(Frame{Type: r.Type, SessionID: SessionID(r.SID)}, from, SessionID(r.SID))
		if (err == nil) != r.Allowed || r.Type.SentBy(from) != r.Allowed || r.Type.ReceivedBy(RoleRelay) != (r.Type != FrameControl) {
			t.Errorf("%s from a %s: got %v, want allowed %v", r.Kind, r.From, err, r.Allowed)
		}
		if r.Error != nil {
			wantCode(t, "CheckSender", err, *r.Error)
			if got := err.(*Error).SessionID; uint64(got) != uint64(*r.ReplySID) {
				t.Errorf("answer's session id: got %d, want %d", got, *r.ReplySID)
			}
		}
	})(t, g.Cases)
	if got := len(seen); got != 2*len(kinds) {
		t.Errorf("the cases name %d of %d pairs: %v", got, 2*len(kinds), slices.Sorted(maps.Keys(seen)))
	}
}
