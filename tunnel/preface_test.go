package tunnel

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRequestBytes(t *testing.T) {
	got := appendRequest(nil, request{kind: KindConnect, target: "web"})
	if want := []byte{1, 1, 0, 3, 'w', 'e', 'b'}; !bytes.Equal(got, want) {
		t.Errorf("connect = % x, want % x", got, want)
	}
	got = appendRequest(nil, request{kind: KindCheck, target: "lan/h:1"})
	if want := append([]byte{1, 2, 0, 7}, "lan/h:1"...); !bytes.Equal(got, want) {
		t.Errorf("check = % x, want % x", got, want)
	}
	got = appendAnswer(nil, answer{StatusRefused, "no"})
	if want := []byte{3, 0, 2, 'n', 'o'}; !bytes.Equal(got, want) {
		t.Errorf("answer = % x, want % x", got, want)
	}
}

// What follows a preface is the connection's data: not one byte of it is taken.
func TestPrefaceIsReadExactly(t *testing.T) {
	r := bytes.NewReader(append(appendRequest(nil, request{KindConnect, "web"}), "data"...))
	req, err := readRequest(r)
	if err != nil || req != (request{KindConnect, "web"}) || r.Len() != 4 {
		t.Errorf("readRequest = %+v, %v, %d bytes left, want 4", req, err, r.Len())
	}
	r = bytes.NewReader(append(appendAnswer(nil, answer{StatusOK, ""}), "data"...))
	a, err := readAnswer(r)
	if err != nil || a.status != StatusOK || r.Len() != 4 {
		t.Errorf("readAnswer = %+v, %v, %d bytes left, want 4", a, err, r.Len())
	}
}

func TestReadRequestMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want string
	}{
		"version":     {"\x02", "stream version 2; this daemon speaks 1"},
		"HTTP":        {"GET / HTTP/1.1\r\n", "stream version 71"},
		"kind":        {"\x01\x09\x00\x03web", "kind 0x09"},
		"no target":   {"\x01\x01\x00\x00", "name is empty"},
		"bad target":  {"\x01\x01\x00\x03w b", "not a target"},
		"huge target": {"\x01\x01\xff\xff", "a target of 65535 bytes; the limit is 512"},
		"not UTF-8":   {"\x01\x01\x00\x02\xff\xfe", "not a target"},
	} {
		_, err := readRequest(strings.NewReader(tt.in))
		if ue, ok := errors.AsType[*unsupportedError](err); !ok || !strings.Contains(ue.text, tt.want) {
			t.Errorf("%s: got %v, want an answer with %q", name, err, tt.want)
		}
	}
	whole := appendRequest(nil, request{KindConnect, "web"})
	for n := range len(whole) {
		_, err := readRequest(bytes.NewReader(whole[:n]))
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if !errors.Is(err, want) {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(whole), err, want)
		}
	}
}

func TestReadAnswerMistakes(t *testing.T) {
	whole := appendAnswer(nil, answer{StatusDenied, "expired"})
	for n := range len(whole) {
		if _, err := readAnswer(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := readAnswer(strings.NewReader("\x00\xff\xff")); err == nil || !strings.Contains(err.Error(), "65535") {
		t.Errorf("a huge text: %v", err)
	}
	a, err := readAnswer(bytes.NewReader(appendAnswer(nil, answer{StatusDenied, strings.Repeat("ä", 5000)})))
	if err != nil || len(a.text) > maxStatusText || !strings.HasPrefix(a.text, "ä") || strings.ContainsRune(a.text, '\uFFFD') {
		t.Errorf("a long text: %d bytes, %v", len(a.text), err)
	}
}

func TestStatusWords(t *testing.T) {
	want := []string{"ok", "unknown_target", "denied", "refused", "timeout", "unreachable", "busy", "unsupported", "0x08"}
	for i, w := range want {
		if got := Status(i).String(); got != w {
			t.Errorf("Status(%d) = %q, want %q", i, got, w)
		}
	}
	for s := StatusOK; s <= StatusUnsupported; s++ {
		if got, want := s.Temporary(), s == StatusRefused || s == StatusTimeout || s == StatusUnreachable || s == StatusBusy; got != want {
			t.Errorf("%s.Temporary() = %v", s, got)
		}
	}
	long := (&StatusError{Target: "web", Status: 9, Text: "\x1b[31m" + strings.Repeat("x", 9999)}).Error()
	if len(long) > 400 || strings.Contains(long, "\x1b") {
		t.Errorf("a peer's text is shown as %q", long)
	}
	if Kind(7).String() != "0x07" || KindCheck.String() != "check" || KindConnect.String() != "connect" {
		t.Error("Kind's words")
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("\x01\x01\x00\x03web"))
	f.Add([]byte("\x01\x02\x00\x0alan/h:1234"))
	f.Add([]byte("\x01\x03\x00\x04echo"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		req, err := readRequest(r)
		if read := len(b) - r.Len(); read > requestHeader+maxTarget {
			t.Errorf("%d bytes of % x were read", read, b)
		}
		if err != nil {
			if req != (request{}) || len(err.Error()) > 4*maxTarget+100 { // quoted, at worst
				t.Errorf("% x: %+v and an error of %d bytes", b, req, len(err.Error()))
			}
			return
		}
		if got := appendRequest(nil, req); !bytes.Equal(got, b[:len(b)-r.Len()]) {
			t.Errorf("% x is read as %+v, which is written % x", b, req, got)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("\x03\x00\x02no"))
	f.Add([]byte("\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		a, err := readAnswer(r)
		if read := len(b) - r.Len(); read > answerHeader+maxStatusText {
			t.Errorf("%d bytes of % x were read", read, b)
		}
		if err != nil {
			if a != (answer{}) || errors.Is(err, io.EOF) {
				t.Errorf("% x: %+v and %v", b, a, err)
			}
			return
		}
		if got := appendAnswer(nil, a); !bytes.Equal(got, b[:len(b)-r.Len()]) {
			t.Errorf("% x is read as %+v, which is written % x", b, a, got)
		}
		_ = (&StatusError{Status: a.status, Text: a.text}).Error()
	})
}
