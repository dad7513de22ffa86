package service

import (
	"net/http"
	"testing"
)

// Behind a proxy the address that the proxy has added counts, not what a client claims.
func TestRemoteAddr(t *testing.T) {
	none, err := newProxies(RelayOptions{})
	if err != nil || none.remoteAddr() != nil {
		t.Error("without a proxy the header must not be believed")
	}
	chain := []string{"198.51.100.0/24", "10.0.0.1", "2001:db8:ffff::/48"}
	for _, tc := range []struct {
		trusted []string
		peer    string
		header  []string
		want    string
	}{
		{nil, "127.0.0.1:5555", []string{"203.0.113.7"}, "203.0.113.7"},
		{nil, "127.0.0.1:5555", []string{"10.9.9.9, 203.0.113.7"}, "203.0.113.7"},
		{nil, "127.0.0.1:5555", []string{"10.9.9.9", "203.0.113.7"}, "203.0.113.7"},
		{nil, "[::1]:5555", []string{"2001:db8::1"}, "2001:db8::1"},
		{nil, "[::ffff:192.168.1.1]:5555", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{nil, "10.0.0.1:5555", []string{"203.0.113.7:41234"}, "203.0.113.7"},
		{nil, "10.0.0.1:5555", []string{"[2001:db8::1]:41234"}, "2001:db8::1"},
		{nil, "[fe80::1%eth0]:5555", []string{"2001:db8::1"}, "2001:db8::1"},
		{nil, "127.0.0.1:5555", []string{"nonsense"}, "127.0.0.1"},
		{nil, "127.0.0.1:5555", []string{"203.0.113.7, unknown"}, "127.0.0.1"},
		{nil, "127.0.0.1:5555", nil, "127.0.0.1"},
		// Nobody named the proxies: a client of the private network claims to be another.
		{nil, "10.0.0.1:5555", []string{"203.0.113.7, 10.9.9.9"}, "10.9.9.9"},
		// Who is no proxy is not believed.
		{nil, "203.0.113.9:5555", []string{"203.0.113.7"}, "203.0.113.9"},
		{chain, "127.0.0.1:5555", []string{"203.0.113.7"}, "127.0.0.1"},
		{chain, "10.0.0.2:5555", []string{"203.0.113.7"}, "10.0.0.2"},
		{chain, "10.0.0.1:5555", []string{"1.2.3.4, 203.0.113.7"}, "203.0.113.7"},
		// One proxy behind another.
		{chain, "10.0.0.1:5555", []string{"1.2.3.4, 203.0.113.7, 198.51.100.9"}, "203.0.113.7"},
		{chain, "10.0.0.1:5555", []string{"1.2.3.4, 203.0.113.7", "2001:db8:ffff::1, 198.51.100.9"}, "203.0.113.7"},
		{chain, "10.0.0.1:5555", []string{"198.51.100.9"}, "198.51.100.9"},
		{chain, "rubbish", []string{"203.0.113.7"}, "invalid IP"},
	} {
		p, err := newProxies(RelayOptions{BehindProxy: true, TrustedProxies: tc.trusted})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RemoteAddr: tc.peer, Header: http.Header{"X-Forwarded-For": tc.header}}
		if got := p.remoteAddr()(r).String(); got != tc.want {
			t.Errorf("%s with X-Forwarded-For %q, trusted %v: got %s, want %s", tc.peer, tc.header, tc.trusted, got, tc.want)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	for _, o := range []RelayOptions{
		{TrustedProxies: []string{"10.0.0.0/8"}}, // without --behind-proxy
		{BehindProxy: true, TrustedProxies: []string{"proxy.example.org"}},
		{BehindProxy: true, TrustedProxies: []string{"10.0.0.0/33"}},
		{BehindProxy: true, TrustedProxies: []string{"::ffff:10.0.0.0/104"}},
		{BehindProxy: true, TrustedProxies: []string{""}},
	} {
		if _, err := newProxies(o); CodeOf(err) != CodeUsage {
			t.Errorf("%v: %v", o.TrustedProxies, err)
		}
	}
}
