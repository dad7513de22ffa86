package tunnel

import (
	"net/netip"
	"strings"
	"testing"

	"culvert/mux"
)

func TestParseTarget(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := []struct {
		in   string
		want Target
	}{
		{"3000", Target{Name: "3000", Network: "tcp", Address: "localhost:3000", Port: 3000}},
		{"0080", Target{Name: "80", Network: "tcp", Address: "localhost:80", Port: 80}},
		{"web=3000", Target{Name: "web", Network: "tcp", Address: "localhost:3000", Port: 3000}},
		{"web=:3000", Target{Name: "web", Network: "tcp", Address: "localhost:3000", Port: 3000}},
		{"127.0.0.1:22", Target{Name: "22", Network: "tcp", Address: "127.0.0.1:22", Port: 22}},
		{"ssh=127.0.0.1:22", Target{Name: "ssh", Network: "tcp", Address: "127.0.0.1:22", Port: 22}},
		{"db.internal:5432", Target{Name: "5432", Network: "tcp", Address: "db.internal:5432", Port: 5432}},
		{"[::1]:80", Target{Name: "80", Network: "tcp", Address: "[::1]:80", Port: 80}},
		{"v6=[fe80::1%eth0]:80", Target{Name: "v6", Network: "tcp", Address: "[fe80::1%eth0]:80", Port: 80}},
		{"db=unix:/run/x.sock", Target{Name: "db", Network: "unix", Address: "/run/x.sock"}},
		{"unix:/run/app.sock", Target{Name: "app", Network: "unix", Address: "/run/app.sock"}},
		{"unix:/run/a=b.sock", Target{}},
		{"x=unix:/run/a=b.sock", Target{Name: "x", Network: "unix", Address: "/run/a=b.sock"}},
		{"unix:relative", Target{Name: "relative", Network: "unix", Address: "relative"}},
		{`unix:C:\run\app.sock`, Target{Name: "app", Network: "unix", Address: `C:\run\app.sock`}},
		{"lan=10.0.0.0/8:443", Target{Name: "lan", Network: "cidr", Prefix: prefix("10.0.0.0/8"), Port: 443}},
		{"lan=10.0.0.0/8:*", Target{Name: "lan", Network: "cidr", Prefix: prefix("10.0.0.0/8")}},
		{"one=192.168.1.7/32:22", Target{Name: "one", Network: "cidr", Prefix: prefix("192.168.1.7/32"), Port: 22}},
		{"v6=[fd00::/8]:443", Target{Name: "v6", Network: "cidr", Prefix: prefix("fd00::/8"), Port: 443}},
		{"v6=fd00::/8:*", Target{Name: "v6", Network: "cidr", Prefix: prefix("fd00::/8")}},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.in)
		if tt.want.Network == "" {
			if err == nil {
				t.Errorf("ParseTarget(%q) = %+v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("ParseTarget(%q) = %+v, %v, want %+v", tt.in, got, err, tt.want)
			continue
		}
		again, err := ParseTarget(got.String())
		if err != nil || again != got {
			t.Errorf("ParseTarget(%q), which is its String: %+v, %v, want %+v", got.String(), again, err, got)
		}
	}
}

func TestParseTargetMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "it is empty",
		"=3000":                            "name is empty",
		"web=":                             "it is empty",
		"web":                              `"web" is no port: write a port, host:port, or web:PORT`,
		"0":                                "use 1 to 65535",
		"65536":                            "use 1 to 65535",
		"+80":                              "no port",
		"localhost:":                       `"" is no port`,
		"localhost:http":                   `"http" is no port`,
		"::1:80":                           "brackets",
		"[::1":                             "not host:port",
		"http://localhost:3000":            "not a URL",
		"web=http://localhost":             "not a URL",
		"a b=80":                           "letters, digits",
		"-x=80":                            "begin with a letter or digit",
		"a*b:80":                           "no host name",
		"10.0.0.0/8:443":                   "needs a name: write lan=10.0.0.0/8:443",
		"lan=10.0.0.0/8":                   "port of the network is missing",
		"lan=10.0.0.0/33:1":                "is no network",
		"lan=10.0.0.1/8:1":                 "did you mean 10.0.0.0/8 or 10.0.0.1/32",
		"lan=::ffff:1.2.3.4/128:1":         "its own form",
		"lan=10.0.0.0/8:http":              "no port",
		"lan=[fd00::/8]":                   "write a network as",
		"unix:":                            "path of the socket is missing",
		"unix:/a\x00b":                     "path",
		"unix:/run/.sock":                  "no name can be made of it",
		strings.Repeat("x", 65) + "=80":    "at most 64",
		strings.Repeat("h", 254) + ":80":   "at most 253",
		"unix:/" + strings.Repeat("n", 70): "write NAME=unix:",
	} {
		if _, err := ParseTarget(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseTarget(%.40q) = %v, want %q", in, err, want)
		}
	}
}

func TestTargets(t *testing.T) {
	ts, err := ParseTargets("3000", "ssh=127.0.0.1:22", "db=unix:/x", "lan=10.0.0.0/8:*")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := ts.Lookup("ssh"); !ok || got.Address != "127.0.0.1:22" {
		t.Errorf("Lookup(ssh) = %+v, %v", got, ok)
	}
	if _, ok := ts.Lookup("nope"); ok {
		t.Error("Lookup of an unknown name")
	}
	var infos []mux.TargetInfo
	for _, x := range ts.List() {
		infos = append(infos, x.Info())
	}
	want := []mux.TargetInfo{{Name: "3000", Kind: "tcp", Port: 3000}, {Name: "ssh", Kind: "tcp", Port: 22}, {Name: "db", Kind: "unix"}, {Name: "lan", Kind: "cidr"}}
	for i := range want {
		if infos[i] != want[i] {
			t.Errorf("Info %d = %+v, want %+v", i, infos[i], want[i])
		}
	}
	ts.List()[0].Name = "changed"
	if _, ok := ts.Lookup("3000"); !ok || ts.List()[0].Name != "3000" {
		t.Error("a caller's change of List reached the set")
	}
	var none *Targets
	if _, ok := none.Lookup("x"); ok || none.List() != nil {
		t.Error("a nil set has targets")
	}
	_, err = ParseTargets("127.0.0.1:80", "10.0.0.1:80")
	if err == nil || !strings.Contains(err.Error(), `named "80" (80=127.0.0.1:80 and 80=10.0.0.1:80)`) {
		t.Errorf("duplicates: %v", err)
	}
	if _, err := ParseTargets("x=1", "y"); err == nil {
		t.Error("a bad target in a set is taken")
	}
	if _, err := NewTargets(Target{}); err == nil {
		t.Error("a nameless target in a set is taken")
	}
}

func TestCheckRef(t *testing.T) {
	for _, ok := range []string{"web", "3000", "lan/10.1.2.3:443", "lan/host.example:1", "lan/[::1]:80"} {
		if err := CheckRef(ok); err != nil {
			t.Errorf("CheckRef(%q): %v", ok, err)
		}
	}
	for _, bad := range []string{"", "/", "lan/", "lan/host", "lan/:80", "lan/host:0", "lan/host:x", "a b", "lan/a b:1", "lan/::1:80", "../x:1", "lan/h:1/2"} {
		if err := CheckRef(bad); err == nil {
			t.Errorf("CheckRef(%q) = nil", bad)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"3000", "0001", "web=3000", "db=unix:/run/x.sock", "lan=10.0.0.0/8:443", "v6=[fd00::/8]:*", "[::1]:80", `unix:C:\x.sock`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTarget(s)
		if err != nil {
			return
		}
		again, err := ParseTarget(got.String())
		if err != nil || again != got {
			t.Errorf("%q is %+v, but its String %q is %+v, %v", s, got, got.String(), again, err)
		}
		if err := CheckRef(got.Name); err != nil {
			t.Errorf("%q has a name that no client can ask for: %v", s, err)
		}
	})
}
