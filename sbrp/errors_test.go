package sbrp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestErrorMatchesByCode(t *testing.T) {
	err := fmt.Errorf("read frame: %w", &Error{Code: CodeMalformedFrame, Rule: RuleLength, Detail: "message of 3 bytes"})
	if !errors.Is(err, &Error{Code: CodeMalformedFrame}) || errors.Is(err, &Error{Code: CodeForbidden}) {
		t.Error("errors.Is does not go by the code")
	}
	if errors.Is(err, &ControlError{Code: CodeMalformedFrame}) {
		t.Error("what we decided matches what the relay told us")
	}
	if got, want := err.Error(), "read frame: malformed_frame: message of 3 bytes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&Error{Code: CodeDecryptFailed}).Error(), "decrypt_failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestControlErrorMatchesByCode(t *testing.T) {
	err := fmt.Errorf("serve: %w", &ControlError{Code: CodeDaemonOffline, SessionID: 4, Text: "not \x1b[31mhere"})
	if !errors.Is(err, &ControlError{Code: CodeDaemonOffline}) || errors.Is(err, &ControlError{Code: CodeForbidden}) {
		t.Error("errors.Is does not go by the code")
	}
	if errors.Is(err, &Error{Code: CodeDaemonOffline}) {
		t.Error("what the relay told us matches what we decided")
	}
	if got, want := err.Error(), `serve: relay: daemon_offline: "not \x1b[31mhere"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&ControlError{Code: 0x0777}).Error(), "relay: 0x0777"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCodeOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code Code
		ok   bool
	}{
		{nil, 0, false},
		{errors.New("other"), 0, false},
		{fmt.Errorf("x: %w", &Error{Code: CodeForbidden}), CodeForbidden, true},
		{fmt.Errorf("x: %w", &ControlError{Code: CodeBackpressure}), CodeBackpressure, true},
	} {
		if c, ok := CodeOf(tt.err); c != tt.code || ok != tt.ok {
			t.Errorf("%v: got %v %v, want %v %v", tt.err, c, ok, tt.code, tt.ok)
		}
	}
}

func TestQuoteCutsAtALetter(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("a", MaxPeerText), strings.Repeat("ü", 150), strings.Repeat("🚀", 100), strings.Repeat("\x80", 500)} {
		got := Quote(text)
		if !utf8.ValidString(got) || len(got) > 4*MaxPeerText+5 {
			t.Errorf("%.10q: got %d bytes %q", text, len(got), got)
		}
		if cut := strings.HasSuffix(got, "..."); cut != (len(text) > MaxPeerText) {
			t.Errorf("%.10q of %d bytes: cut %v", text, len(text), cut)
		}
		if strings.Contains(got, "�") {
			t.Errorf("%.10q: a letter was cut in two: %q", text, got)
		}
	}
}

func TestStringsOfUnknownValues(t *testing.T) {
	for _, tt := range []struct {
		got  fmt.Stringer
		want string
	}{
		{FrameType(0x99), "0x99"},
		{Code(0x0777), "0x0777"},
		{Code(0), "0x0000"},
		{Signal(0x77), "0x77"},
		{SignalReady, "ready"},
		{SignalClose, "close"},
		{Reason(0x77), "0x77"},
		{ReasonNone, "none"},
		{ReasonStateLost, "state_lost"},
		{ReasonShutdown, "shutdown"},
		{ReasonPolicy, "policy"},
		{ReasonError, "error"},
		{Role(0), "role(0)"},
		{RoleRelay, "relay"},
		{Rule(77), "rule(77)"},
		{RuleNone, "none"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%T: got %q, want %q", tt.got, got, tt.want)
		}
	}
	seen := map[string]Rule{}
	for r := RuleNone; r <= RulePayload; r++ {
		if other, dup := seen[r.String()]; dup || strings.HasPrefix(r.String(), "rule(") {
			t.Errorf("rule %d prints as %q, like %d", r, r, other)
		}
		seen[r.String()] = r
	}
}

func TestControlErrorBackpressure(t *testing.T) {
	for _, c := range []Code{CodeBackpressure, CodeRateLimited, CodeInternalError} {
		if got := (&ControlError{Code: c}).Backpressure(); got != (c == CodeBackpressure) {
			t.Errorf("%v: Backpressure() = %v", c, got)
		}
	}
}
