package api_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"culvert/sbrp/api"
)

func TestCheckBaseURL(t *testing.T) {
	tests := []struct {
		url          string
		plain, https bool // taken with allowPlain, and without
	}{
		{"https://relay.example.org", true, true},
		{"https://relay.example.org/", true, true},
		{"HTTPS://Relay.Example.org:8443", true, true},
		{"https://192.0.2.1:8443", true, true},
		{"https://[2001:db8::1]:8443", true, true},
		{"http://127.0.0.1:8080", true, true},
		{"http://127.9.9.9", true, true},
		{"http://[::1]:8080", true, true},
		{"http://localhost", true, true},
		{"http://LOCALHOST:8080", true, true},
		{"http://relay.localhost", true, true},
		{"http://[::ffff:127.0.0.1]", true, true},
		{"http://relay.example.org", true, false},
		{"http://192.0.2.1", true, false},
		{"http://localhost.example.org", true, false},
		{"http://127.0.0.1.example.org", true, false},
		{"http://0.0.0.0", true, false},
		{"", false, false},
		{"relay.example.org", false, false},
		{"relay.example.org:8443", false, false},
		{"//relay.example.org", false, false},
		{"wss://relay.example.org", false, false},
		{"ftp://relay.example.org", false, false},
		{"https://", false, false},
		{"https://:8443", false, false},
		{"https:relay.example.org", false, false},
		{"https://user:geheim@relay.example.org", false, false},
		{"https://geheim@relay.example.org", false, false},
		{"https://relay.example.org/path", false, false},
		{"https://relay.example.org?q=geheim", false, false},
		{"https://relay.example.org?", false, false},
		{"https://relay.example.org#geheim", false, false},
		{"https://relay.example.org:port", false, false},
		{"https://relay.example.org:0", false, false},
		{"https://relay.example.org:65536", false, false},
		{"https://relay%20example.org", false, false},
		{"https://%25", false, false},
		{"https://bücher.example", false, false},
		{"https://xn--bcher-kva.example", true, true},
		{"https://geheim:pw@relay example.org", false, false},
		{"https://relay.example.org\n", false, false},
	}
	for _, tc := range tests {
		for _, allow := range []bool{true, false} {
			want := tc.https
			if allow {
				want = tc.plain
			}
			err := api.CheckBaseURL(tc.url, allow)
			if (err == nil) != want {
				t.Errorf("%q, plain %t: %v, want taken %t", tc.url, allow, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("%q: the error holds the user part: %v", tc.url, err)
			}
		}
	}
	if err := api.CheckBaseURL("http://relay.example.org", false); !strings.Contains(err.Error(), "https://relay.example.org") {
		t.Errorf("the mend is missing: %v", err)
	}
}

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://relay.example.org":      "https://relay.example.org",
		"HTTPS://Relay.EXAMPLE.org:443/": "https://relay.example.org",
		"https://relay.example.org:8443": "https://relay.example.org:8443",
		"http://relay.example.org:80":    "http://relay.example.org",
		"http://relay.example.org:443":   "http://relay.example.org:443",
		"https://[2001:DB8::1]":          "https://[2001:db8::1]",
		"https://[2001:db8::1]:443":      "https://[2001:db8::1]",
		"https://[fe80::1%25eth0]:8443":  "https://[fe80::1]:8443",
		"https://relay.example.org:":     "https://relay.example.org",
	} {
		got, err := api.Origin(in)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
		if again, err := api.Origin(got); err != nil || again != got {
			t.Errorf("%s: not stable: %q, %v", got, again, err)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("https://relay.example.org:8443/")
	f.Add("http://[fe80::1%25x]:80")
	f.Add("http://localhost%25.example.org")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := api.Origin(s)
		if err != nil {
			return
		}
		if again, err := api.Origin(o); err != nil || again != o {
			t.Errorf("%q gives %q, which gives %q, %v", s, o, again, err)
		}
		// Without TLS only what is dialled as this machine is let through.
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		host := strings.ToLower(u.Hostname())
		ip, notIP := netip.ParseAddr(host)
		if api.CheckBaseURL(s, false) == nil && u.Scheme != "https" && host != "localhost" && !strings.HasSuffix(host, ".localhost") && (notIP != nil || !ip.Unmap().WithZone("").IsLoopback()) {
			t.Errorf("%q may be asked without TLS", s)
		}
	})
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"laptop": true, "Laptop-2": true, "a": true, "0x.y_z": true, strings.Repeat("a", 64): true,
		"": false, "-x": false, ".x": false, "_x": false, "a b": false, "a/b": false, "ü": false, "a\n": false, strings.Repeat("a", 65): false,
	} {
		if err := api.CheckDaemonName(name); (err == nil) != good {
			t.Errorf("daemon name %q: %v", name, err)
		}
	}
	for name, good := range map[string]bool{
		"": true, "Zoë’s MacBook": true, "日本": true,
		"a\tb": false, "a\x1b[2J": false, "\xff": false, strings.Repeat("ü", 33): false, "a\u202eb": false,
	} {
		if err := api.CheckLabel(name); (err == nil) != good {
			t.Errorf("label %q: %v", name, err)
		}
	}
}
