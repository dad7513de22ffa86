package sbrp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// seeds calls add with every run of hex in a vector file that is at most 4 KiB: frames, payloads and chunks, good and bad.
func seeds(f *testing.F, file string, add func(b []byte)) {
	f.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		f.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		f.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case string:
			if b, err := hex.DecodeString(v); err == nil && len(b) <= 4096 {
				add(b)
			}
		}
	}
	walk(all)
}

func FuzzParseFrame(f *testing.F) {
	seeds(f, "frames.json", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		fr, err := ParseFrame(msg)
		ep, epErr := ParseEndpointFrame(msg)
		if !bytes.Equal(msg, before) {
			t.Error("the message was changed")
		}
		if epErr == nil && (err != nil || fr.Type != ep.Type || fr.SessionID != ep.SessionID || !bytes.Equal(fr.Payload, ep.Payload)) {
			t.Errorf("an endpoint takes what the relay refuses: %v", err)
		}
		if err != nil {
			if e := err.(*Error); !e.Code.Known() || e.Code.SessionScoped() || e.SessionID != 0 || e.Rule == RuleNone || e.Detail == "" {
				t.Errorf("%#v cannot be answered", e)
			}
			return
		}
		if got := AppendFrame(nil, fr.Type, fr.SessionID, fr.Payload); !bytes.Equal(got, msg) {
			t.Errorf("round trip: got %x", got)
		}
		got, appendErr := fr.Append(nil)
		if (appendErr == nil) != (epErr == nil) || appendErr == nil && !bytes.Equal(got, msg) {
			t.Errorf("Append says %v, ParseEndpointFrame %v", appendErr, epErr)
		}
	})
}

// FuzzDecoder cuts a stream anywhere and compares it with ParseFrame on the same bytes.
func FuzzDecoder(f *testing.F) {
	seeds(f, "frames.json", func(b []byte) { f.Add(b, uint16(1), uint16(7)) })
	f.Fuzz(func(t *testing.T, stream []byte, cut1, cut2 uint16) {
		var d Decoder
		rest := stream
		frames := 0
		for feed := stream; ; {
			n := min(len(feed), int(cut1)+1)
			cut1, cut2 = cut2, cut1
			d.Write(feed[:n])
			feed = feed[n:]
			for {
				fr, ok, err := d.Next()
				if err != nil {
					compareWithParse(t, rest, err)
					return
				}
				if !ok {
					break
				}
				frames++
				size := HeaderSize + len(fr.Payload)
				want, parseErr := ParseFrame(rest[:size])
				if parseErr != nil && parseErr.(*Error).Rule != RulePing { // a payload's size is not the decoder's business
					t.Fatalf("frame %d: ParseFrame says %v", frames, parseErr)
				}
				if parseErr == nil && (fr.Type != want.Type || fr.SessionID != want.SessionID || !bytes.Equal(fr.Payload, want.Payload)) {
					t.Fatalf("frame %d: got %v, want %v", frames, fr, want)
				}
				rest = rest[size:]
			}
			if len(feed) == 0 {
				break
			}
		}
		if d.Buffered() != len(rest) {
			t.Errorf("got %d bytes buffered, want %d", d.Buffered(), len(rest))
		}
		if _, err := ParseFrame(rest); err == nil {
			t.Error("a whole frame was left")
		}
	})
}

// compareWithParse: where the decoder stops, the relay's and the endpoint's parser stop too, unless they already miss the payload.
func compareWithParse(t *testing.T, rest []byte, err error) {
	t.Helper()
	if len(rest) < HeaderSize {
		t.Fatalf("an error before the header was there: %v", err)
	}
	if _, parseErr := ParseFrame(rest); parseErr == nil {
		t.Errorf("the decoder says %v, ParseFrame nothing", err)
	}
	_, parseErr := ParseEndpointFrame(rest)
	if got, _ := CodeOf(parseErr); got != err.(*Error).Code {
		t.Errorf("the decoder says %v, ParseEndpointFrame %v", err, parseErr)
	}
}

func FuzzParseControl(f *testing.F) {
	seeds(f, "frames.json", func(b []byte) {
		f.Add(b)
		if len(b) > HeaderSize {
			f.Add(b[HeaderSize:])
		}
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if c, text, err := ParseControl(payload); err == nil {
			if c.Local() {
				t.Errorf("%v came from the wire", c)
			}
			_ = (&ControlError{Code: c, Text: text}).Error()
			if c.Known() {
				msg := AppendControl(nil, 1, c, strings.ToValidUTF8(text, "?")[:min(len(text), 1000)])
				if _, err := ParseEndpointFrame(msg); err != nil {
					t.Error(err)
				}
			}
		} else if len(payload) >= MinControl && !Code(uint16(payload[0])<<8|uint16(payload[1])).Local() {
			t.Errorf("%x: %v", payload, err)
		}
		if s, r, err := ParseSignal(payload); err == nil {
			back := AppendSignal(nil, 1, s, r)[HeaderSize:]
			if back[0] != payload[0] || r != ReasonNone && back[1] != payload[1] {
				t.Errorf("%x: round trip gives %x", payload, back)
			}
		}
	})
}

func FuzzParseFingerprint(f *testing.F) {
	for b := range 8 {
		fp := PublicKey{byte(b)}.Fingerprint()
		for _, s := range []string{fp.String(), strings.ToLower(fp.String()), fp.String()[7:], strings.ReplaceAll(fp.String()[7:], ":", ""), fp.Short()} {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		fp, err := ParseFingerprint(s)
		if err != nil {
			return
		}
		got := strings.ToUpper(strings.TrimSpace(s))
		got = strings.ReplaceAll(strings.TrimPrefix(got, "SHA256:"), ":", "")
		if want := strings.ReplaceAll(fp.String()[7:], ":", ""); got != want {
			t.Errorf("%q parses as %s", s, fp)
		}
		if back, err := ParseFingerprint(fp.String()); err != nil || back != fp {
			t.Errorf("%s: %v", fp, err)
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	for b := range 8 {
		k := PublicKey{byte(b), 0xfb, 0xef, 0xff}
		f.Add(k.String())
		f.Add(k.String() + "=")
		f.Add(strings.NewReplacer("-", "+", "_", "/").Replace(k.String()))
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParsePublicKey(s)
		if err != nil {
			return
		}
		if got := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s); got != k.String() {
			t.Errorf("%q parses as %s", s, k)
		}
	})
}

func FuzzParseSessionID(f *testing.F) {
	for _, id := range []SessionID{1, 1 << 63, 1<<64 - 1, 0x0102030405060708} {
		f.Add(id.String())
		f.Add(id.String() + "=")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseSessionID(s); err == nil && (id == 0 || id.String() != s) {
			t.Errorf("%q parses as %d, which prints as %s", s, uint64(id), id)
		}
	})
}

func FuzzCheckDaemonID(f *testing.F) {
	for _, s := range []string{"", "d_abc123", "a b", "ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ok := len(s) > 0 && len(s) <= MaxDaemonID && strings.Trim(s, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") == "" &&
			!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
		if err := CheckDaemonID(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	})
}
