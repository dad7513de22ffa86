package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/config"
	"culvert/tunnel"
)

// FuzzForwardedFor gives a relay behind proxies whatever stands in X-Forwarded-For: who is no proxy is himself, and whatever a
// client claims, he is not taken for somebody whom no trusted proxy has named.
func FuzzForwardedFor(f *testing.F) {
	f.Add("127.0.0.1:5555", "203.0.113.7", true)
	f.Add("10.0.0.1:5555", "1.2.3.4, [2001:db8::1]:41234, 198.51.100.9", true)
	f.Add("203.0.113.9:1", "127.0.0.1", false)
	f.Add("[fe80::1%eth0]:1", "::ffff:203.0.113.7,,x", false)
	named, err := newProxies(RelayOptions{BehindProxy: true, TrustedProxies: []string{"198.51.100.0/24", "10.0.0.1"}})
	if err != nil {
		f.Fatal(err)
	}
	unnamed, err := newProxies(RelayOptions{BehindProxy: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, remote, header string, byName bool) {
		p := unnamed
		if byName {
			p = named
		}
		got := p.remote(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {header}}})
		if got.Zone() != "" || got.Is4In6() {
			t.Errorf("%v is one of several forms of an address", got)
		}
		peer, _ := netip.ParseAddrPort(remote)
		if who := peer.Addr().Unmap().WithZone(""); !p.trusts(who) && got != who {
			t.Errorf("%s is no proxy, and is taken for %v", remote, got)
		}
		// Of the list only the last entry counts, and before each trusted one the one before it.
		hops := strings.Split(header, ",")
		for i := len(hops) - 1; i > 0; i-- {
			if a, ok := hopAddr(hops[i]); byName && ok && p.trusts(a) {
				continue
			}
			if cut := p.remote(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {strings.Join(hops[i:], ",")}}}); cut != got {
				t.Errorf("%q behind %s: %v, and without what the client claims %v", header, remote, got, cut)
			}
			break
		}
	})
}

// FuzzRememberedTargets reads the file that completion offers names from: a shell sees no name that is none.
func FuzzRememberedTargets(f *testing.F) {
	f.Add([]byte(`{"laptop":[{"name":"web","kind":"tcp"},{"name":"$(rm -rf)","kind":"tcp"}],"x":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		known := parseTargets(data)
		if known == nil {
			t.Error("no map")
		}
		for daemon, list := range known {
			for _, h := range list {
				if tunnel.CheckTargetName(h.Name) != nil {
					t.Errorf("daemon %q offers %q", daemon, h.Name)
				}
			}
		}
		b, err := json.Marshal(known)
		if err != nil {
			t.Fatal(err)
		}
		if again := parseTargets(b); !maps.EqualFunc(again, known, slices.Equal) {
			t.Errorf("%v is read again as %v", known, again)
		}
	})
}

// FuzzAuditHead reads the head beside an audit log, and one that was noted elsewhere: what is taken is a number and a hash, and
// nothing else means the same.
func FuzzAuditHead(f *testing.F) {
	f.Add(fmt.Appendf(nil, "%020d %s\n", 7, firstPrev))
	f.Add([]byte("7:" + firstPrev))
	f.Add([]byte("00000000000000000007 " + strings.Repeat("\n", 65)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, hash, err := parseHead(b); err == nil && string(fmt.Appendf(nil, "%020d %s\n", n, hash)) != string(b) {
			t.Errorf("%q is read as %d %q", b, n, hash)
		}
		v := &verifier{}
		if err := v.want(string(b)); err == nil && len(b) > 0 && (v.wantHash != strings.ToLower(v.wantHash) || len(v.wantHash) != len(firstPrev)) {
			t.Errorf("%q is read as %d %q", b, v.wantN, v.wantHash)
		}
	})
}

// FuzzCommandAnswer reads what a service says while it carries out a command: its exit code is never made up, and what it has
// said before it went silent is shown.
func FuzzCommandAnswer(f *testing.F) {
	exit := 3
	var said bytes.Buffer
	for _, p := range []commandPiece{{Out: []byte("hello\n")}, {Err: []byte("! no\n")}, {Exit: &exit}} {
		if err := json.NewEncoder(&said).Encode(p); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(said.Bytes())
	f.Add([]byte(`{"out":"aGVsbG8="}`))
	f.Add([]byte(`{"exit":null}{"exit":"0"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var out, errs bytes.Buffer
		code, err := copyPieces(bytes.NewReader(answer), &out, &errs)
		if err == nil && !bytes.Contains(bytes.ToLower(answer), []byte(`x`)) && !bytes.Contains(answer, []byte(`\u`)) {
			t.Errorf("%q: exit code %d, of which nothing is said", answer, code)
		}
		if err != nil && code != 0 {
			t.Errorf("%q: code %d and %v", answer, code, err)
		}
		if out.Len()+errs.Len() > len(answer) {
			t.Errorf("%q: %d bytes of output", answer, out.Len()+errs.Len())
		}
	})
}

// FuzzStatusAnswer reads what a process says about itself on the admin socket.
func FuzzStatusAnswer(f *testing.F) {
	b, err := json.Marshal(ProcessStatus{PID: 7, Links: []LinkStatus{{Key: "k", State: "up"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, b)
	f.Add(404, []byte(`{}`))
	f.Add(200, []byte(`{"links":null,"exposure":7}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		st, err := answered{path: "s", status: status, body: body}.process()
		if err == nil && (status != http.StatusOK || !json.Valid(body)) {
			t.Errorf("%d %q is taken as %+v", status, body, st)
		}
		if err == nil {
			if _, err := json.Marshal(st); err != nil {
				t.Errorf("%q cannot be shown again: %v", body, err)
			}
		}
	})
}

// cannedAnswer answers every request alike.
type cannedAnswer struct {
	status      int
	media, date string
	body        []byte
}

// RoundTrip implements http.RoundTripper.
func (c cannedAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {c.media}, "Date": {c.date}}
	return &http.Response{StatusCode: c.status, Header: h, Body: io.NopCloser(bytes.NewReader(c.body)), Request: r}, nil
}

// FuzzHealth has a doctor look at whatever answers where a control plane should: only JSON is taken for one, and what is said of
// another tells who can mend it.
func FuzzHealth(f *testing.F) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Add(200, "application/json", at.Format(http.TimeFormat), []byte(`{"status":"ok"}`))
	f.Add(200, "text/html; charset=utf-8", "", []byte(`<html>`))
	f.Add(200, "application/json", at.Add(time.Hour).Format(http.TimeFormat), []byte(`{}`))
	f.Add(302, "", "Mon, 99", []byte(``))
	f.Fuzz(func(t *testing.T, status int, media, date string, body []byte) {
		net := &transport{http: &http.Client{Transport: cannedAnswer{status, media, date, body}}}
		d := &doctor{client: &client{net: net, known: config.KnownDaemon{ControlURL: "https://relay.example.org"}}, now: func() time.Time { return at }}
		err := d.checkHealth(t.Context())
		word, _, _ := mime.ParseMediaType(media)
		if err == nil && (word != "application/json" || status == http.StatusNotFound) {
			t.Errorf("%d %q %q is taken for a control plane", status, media, body)
		}
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Code != CodeRelay && e.Code != CodeLogin || e.Mend == "" || len(e.Error()) > 300) {
			t.Errorf("%d %q: %v", status, media, err)
		}
	})
}

// FuzzRelayURL takes a control plane's word for where the relay is: no token goes there without TLS, unless that is this machine.
func FuzzRelayURL(f *testing.F) {
	for _, s := range []string{"wss://r.example.org/relay", "ws://127.0.0.1:80/", "ws://localhost%25.example.org", "ws://[::1%25x]", "http://127.0.0.1@example.org", "//x", "ftp://localhost"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkRelayURL("https://relay.example.org", s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme == "wss" || u.Scheme == "https" {
			return
		}
		host := strings.ToLower(u.Hostname())
		ip, err := netip.ParseAddr(host)
		if u.Scheme != "ws" && u.Scheme != "http" || host != "localhost" && !strings.HasSuffix(host, ".localhost") && (err != nil || !ip.Unmap().WithZone("").IsLoopback()) {
			t.Errorf("%q is dialled without TLS", s)
		}
	})
}
