package tunnel

import (
	"strings"
	"testing"
)

func TestParseForward(t *testing.T) {
	tests := []struct {
		in   string
		want ForwardSpec
	}{
		{"web", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: TargetPort, Target: "web"}},
		{"3000", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: TargetPort, Target: "3000"}},
		{"8080:web", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: 8080, Target: "web"}},
		{"8080:3000", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: 8080, Target: "3000"}},
		{"0:web", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: 0, Target: "web"}},
		{"0.0.0.0:8080:web", ForwardSpec{Network: "tcp", Bind: "0.0.0.0", Port: 8080, Target: "web"}},
		{"localhost:0:web", ForwardSpec{Network: "tcp", Bind: "localhost", Port: 0, Target: "web"}},
		{"[::1]:8080:web", ForwardSpec{Network: "tcp", Bind: "::1", Port: 8080, Target: "web"}},
		{"[::]:0:web", ForwardSpec{Network: "tcp", Bind: "::", Port: 0, Target: "web"}},
		{"lan/10.1.2.3:443", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: TargetPort, Target: "lan/10.1.2.3:443"}},
		{"8443:lan/10.1.2.3:443", ForwardSpec{Network: "tcp", Bind: "127.0.0.1", Port: 8443, Target: "lan/10.1.2.3:443"}},
		{"[::1]:8443:lan/[fd00::1]:443", ForwardSpec{Network: "tcp", Bind: "::1", Port: 8443, Target: "lan/[fd00::1]:443"}},
		{"unix:/tmp/x.sock:db", ForwardSpec{Network: "unix", Path: "/tmp/x.sock", Target: "db"}},
		{"unix:/tmp/a:b.sock:db", ForwardSpec{Network: "unix", Path: "/tmp/a:b.sock", Target: "db"}},
		{"unix:x:lan/10.1.2.3:443", ForwardSpec{Network: "unix", Path: "x", Target: "lan/10.1.2.3:443"}},
		{`unix:C:\x.sock:db`, ForwardSpec{Network: "unix", Path: `C:\x.sock`, Target: "db"}},
	}
	for _, tt := range tests {
		got, err := ParseForward(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseForward(%q) = %+v, %v, want %+v", tt.in, got, err, tt.want)
			continue
		}
		if got.String() != tt.in && !strings.HasPrefix(tt.in, "127.") {
			t.Errorf("String of %q = %q", tt.in, got.String())
		}
		name, _, _ := strings.Cut(tt.want.Target, "/")
		if got.TargetName() != name {
			t.Errorf("TargetName of %q = %q", tt.in, got.TargetName())
		}
	}
}

func TestParseForwardMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "target is missing",
		"8080:":            "target is missing",
		"web:8080:":        "target is missing",
		"x:web":            "(a local address is written with its port, 0.0.0.0:8080:web)",
		"0.0.0.0:web":      "no local port",
		"70000:web":        "no local port",
		":8080:web":        "write 0.0.0.0",
		"::1:8080:web":     "brackets",
		"a:b:web":          "no local port",
		"8080:a b":         "letters, digits",
		"8080:lan/x":       "not host:port",
		"unix:":            "unix:/path/to.sock:TARGET",
		"unix:/tmp/x.sock": "unix:/path/to.sock:TARGET",
		"unix::db":         "unix:/path/to.sock:TARGET",
		"unix:/a\x00:db":   "zero byte",
		"a*b:80:web":       "no host name",
	} {
		if _, err := ParseForward(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseForward(%q) = %v, want %q", in, err, want)
		}
	}
}

func FuzzParseForward(f *testing.F) {
	for _, s := range []string{"web", "8080:web", "[::1]:0:lan/[fd00::1]:443", "unix:/tmp/a:b:db", "0.0.0.0:1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseForward(s)
		if err != nil {
			return
		}
		if err := CheckRef(got.Target); err != nil {
			t.Errorf("%q leads to a target that cannot be asked for: %v", s, err)
		}
		again, err := ParseForward(got.String())
		if err != nil || again != got {
			t.Errorf("%q is %+v, but its String %q is %+v, %v", s, got, got.String(), again, err)
		}
	})
}
