package service

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestRelayNeedsTLSBeyondLoopback(t *testing.T) {
	for _, tc := range []struct {
		o    RelayOptions
		code Code
	}{
		{RelayOptions{Listen: "127.0.0.1:0"}, CodeOK},
		{RelayOptions{Listen: "[::1]:0"}, CodeOK},
		{RelayOptions{Listen: "localhost:8443"}, CodeOK},
		{RelayOptions{Listen: ":8443"}, CodeUsage},
		{RelayOptions{Listen: "0.0.0.0:8443"}, CodeUsage},
		{RelayOptions{Listen: "relay.example.org:8443"}, CodeUsage},
		{RelayOptions{Listen: ":8443", BehindProxy: true}, CodeOK},
		{RelayOptions{Listen: "8443"}, CodeUsage},
		{RelayOptions{Listen: ":8443", TLSCert: "cert.pem"}, CodeUsage},
		{RelayOptions{Listen: ":8443", TLSKey: "key.pem"}, CodeUsage},
		{RelayOptions{Listen: ":8443", TLSCert: "missing.pem", TLSKey: "missing.pem"}, CodeConfig},
	} {
		if _, err := relayTLS(tc.o); CodeOf(err) != tc.code {
			t.Errorf("relayTLS(%+v) = %v, want code %d", tc.o, err, tc.code)
		}
	}
}

func TestRelayPublicURL(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443}
	wildcard := &net.TCPAddr{IP: net.IPv6zero, Port: 8443}
	for _, tc := range []struct {
		public string
		addr   net.Addr
		tls    bool
		want   string
		code   Code
	}{
		{"", loopback, false, "http://127.0.0.1:8443", CodeOK},
		{"", loopback, true, "https://127.0.0.1:8443", CodeOK},
		{"", wildcard, true, "", CodeUsage},
		{"https://relay.example.org", wildcard, true, "https://relay.example.org", CodeOK},
		{"https://relay.example.org/", wildcard, false, "https://relay.example.org", CodeOK},
		{"http://localhost:8443", wildcard, false, "http://localhost:8443", CodeOK},
		{"http://relay.example.org", wildcard, false, "", CodeUsage},
		{"relay.example.org", wildcard, true, "", CodeUsage},
		{"https://relay.example.org/culvert", wildcard, true, "", CodeUsage},
		{"https://user:secret@relay.example.org", wildcard, true, "", CodeUsage},
		{"wss://relay.example.org", wildcard, true, "", CodeUsage},
	} {
		got, err := relayPublicURL(RelayOptions{PublicURL: tc.public}, tc.addr, tc.tls)
		if got != tc.want || CodeOf(err) != tc.code {
			t.Errorf("relayPublicURL(%q, %v) = %q, %v; want %q, code %d", tc.public, tc.addr, got, err, tc.want, tc.code)
		}
	}
}

// A control plane behind TLS cannot send its users' tokens over a plain connection.
func TestCheckRelayURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"wss://relay.example.org/relay":   true,
		"https://relay.example.org/relay": true,
		"ws://127.0.0.1:8443/relay":       true,
		"ws://localhost:8443/relay":       true,
		"ws://relay.example.org/relay":    false,
		"http://relay.example.org/relay":  false,
		"ftp://relay.example.org/relay":   false,
		"relay.example.org":               false,
		"":                                false,
		"://":                             false,
	} {
		if err := checkRelayURL("https://relay.example.org", url); (err == nil) != ok {
			t.Errorf("checkRelayURL(%q) = %v, want ok %v", url, err, ok)
		}
	}
}

// A password in --db would stand in every list of processes.
func TestStorePassword(t *testing.T) {
	for _, dsn := range []string{"postgres://app:geheim@127.0.0.1:1/db", "postgresql:///db?host=/tmp&password=geheim"} {
		_, err := openStore(t.Context(), testDir(t, filepath.Join(t.TempDir(), "state")), dsn)
		if CodeOf(err) != CodeUsage || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

func TestRelayURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://relay.example.org": "wss://relay.example.org/relay",
		"http://127.0.0.1:8443":     "ws://127.0.0.1:8443/relay",
	} {
		if got := relayURL(in); got != want {
			t.Errorf("relayURL(%q) = %q, want %q", in, got, want)
		}
	}
}
