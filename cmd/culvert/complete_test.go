package main

import (
	"strings"
	"testing"

	"culvert/config"
	"culvert/service"
)

// TestCompleteWords asks as a shell does: __complete, and the words so far, the last of
// which may be empty.
func TestCompleteWords(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"forward ", "laptop desk :4"},
		{"forward la", "laptop :4"},
		{"forward laptop ", "web\ttcp lan/\tcidr laptop\tunix :6"},
		{"forward laptop w", "web\ttcp :4"},
		{"forward laptop 8080:", "8080:web\ttcp 8080:lan/\tcidr 8080:laptop\tunix :6"},
		{"forward laptop 8080:w", "8080:web\ttcp :4"},
		{"forward laptop web 0.0.0.0:80:l", "0.0.0.0:80:lan/\tcidr 0.0.0.0:80:laptop\tunix :6"},
		{"forward --once desk d", "desk\tunix :4"},
		{"run laptop w", "web\ttcp :4"},
		{"run laptop web -- ", ":0"},
		{"stdio laptop w", "web\ttcp :4"},
		{"stdio laptop web ", ":4"},
		{"ssh l", "laptop :4"},
		{"ssh me@l", "me@laptop :4"},
		{"ssh-config d", "desk :4"},
		{"doctor la", "laptop :4"},
		{"doctor laptop/", "laptop/web\ttcp laptop/lan/\tcidr laptop/laptop\tunix :6"},
		{"doctor laptop/w", "laptop/web\ttcp :4"},
		{"doctor laptop/web ", ":4"},
		{"trust forget d", "desk :4"},
	} {
		r := newTestRun(t)
		r.a.calls.trustList = func(service.Common) ([]config.KnownDaemon, []error, error) {
			return []config.KnownDaemon{{Name: "laptop"}, {Name: "desk"}}, nil, nil
		}
		r.run(append([]string{"__complete"}, strings.Split(test.words, " ")...)...)
		got := strings.Join(strings.Fields(strings.ReplaceAll(r.stdout.String(), "\t", "\x00")), " ")
		if got = strings.ReplaceAll(got, "\x00", "\t"); got != test.want {
			t.Errorf("%q: %q, want %q", test.words, got, test.want)
		}
	}
}
