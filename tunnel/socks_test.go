package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// duo is a reader and a writer that are not each other's.
type duo struct {
	io.Reader
	io.Writer
}

func TestSOCKSHandshake(t *testing.T) {
	const hello = "\x05\x01\x00"
	for _, test := range []struct {
		name, in, want string // want: the address
		code           socksCode
		out            string // what is answered before the reply
	}{
		{"IPv4", hello + "\x05\x01\x00\x01\x0a\x01\x02\x03\x01\xbb", "10.1.2.3:443", 0, "\x05\x00"},
		{"IPv6", hello + "\x05\x01\x00\x04" + string(net.ParseIP("fd00::7")) + "\x00\x50", "[fd00::7]:80", 0, "\x05\x00"},
		{"IPv4 in IPv6", hello + "\x05\x01\x00\x04" + string(net.ParseIP("10.1.2.3").To16()) + "\x00\x50", "10.1.2.3:80", 0, "\x05\x00"},
		{"name", hello + "\x05\x01\x00\x03\x08db.local\x15\x38", "db.local:5432", 0, "\x05\x00"},
		{"address as name", hello + "\x05\x01\x00\x03\x03::1\x00\x50", "[::1]:80", 0, "\x05\x00"},
		{"several methods", "\x05\x03\x02\x00\x01\x05\x01\x00\x03\x01a\x00\x50", "a:80", 0, "\x05\x00"},
		{"longest name", hello + "\x05\x01\x00\x03\xfd" + strings.Repeat("n", 253) + "\x00\x50", strings.Repeat("n", 253) + ":80", 0, "\x05\x00"},

		{"only passwords", "\x05\x01\x02", "", socksCodeUnknown, "\x05\xff"},
		{"no methods", "\x05\x00", "", socksCodeUnknown, "\x05\xff"},
		{"BIND", hello + "\x05\x02\x00\x01\x0a\x01\x02\x03\x01\xbb", "", socksNoCommand, "\x05\x00"},
		{"UDP", hello + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", "", socksNoCommand, "\x05\x00"},
		{"unknown kind", hello + "\x05\x01\x00\x02\x0a\x01\x02\x03\x01\xbb", "", socksNoAddrKind, "\x05\x00"},
		{"port 0", hello + "\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x00", "", socksFailure, "\x05\x00"},
		{"empty name", hello + "\x05\x01\x00\x03\x00\x00\x50", "", socksHost, "\x05\x00"},
		{"no name", hello + "\x05\x01\x00\x03\x03a/b\x00\x50", "", socksHost, "\x05\x00"},
		{"name with a zero", hello + "\x05\x01\x00\x03\x03a\x00b\x00\x50", "", socksHost, "\x05\x00"},
		{"name of 254", hello + "\x05\x01\x00\x03\xfe" + strings.Repeat("n", 254) + "\x00\x50", "", socksHost, "\x05\x00"},
		{"other version in request", hello + "\x04\x01\x00\x01\x0a\x01\x02\x03\x01\xbb", "", socksCodeUnknown, "\x05\x00"},
		{"SOCKS 4", "\x04\x01\x00\x50\x0a\x00\x00\x01\x00", "", socksCodeUnknown, ""},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", "", socksCodeUnknown, ""},
		{"nothing", "", "", socksCodeUnknown, ""},
		{"cut in the greeting", "\x05\x02\x00", "", socksCodeUnknown, ""},
		{"cut in the request", hello + "\x05\x01", "", socksCodeUnknown, "\x05\x00"},
		{"cut in the address", hello + "\x05\x01\x00\x04\x00", "", socksCodeUnknown, "\x05\x00"},
		{"cut before the name", hello + "\x05\x01\x00\x03", "", socksCodeUnknown, "\x05\x00"},
		{"cut in the name", hello + "\x05\x01\x00\x03\x05ab", "", socksCodeUnknown, "\x05\x00"},
		{"cut in the port", hello + "\x05\x01\x00\x03\x01a\x00", "", socksCodeUnknown, "\x05\x00"},
	} {
		rest := "bytes of the connection"
		if test.want == "" {
			rest = ""
		}
		in, out := strings.NewReader(test.in+rest), &bytes.Buffer{}
		got, err := socksHandshake(duo{in, out})
		if got != test.want || out.String() != test.out {
			t.Errorf("%s: %q, answered %q; want %q, %q (%v)", test.name, got, out, test.want, test.out, err)
		}
		if se, ok := errors.AsType[*socksError](err); test.want == "" && (!ok || se.code != test.code) {
			t.Errorf("%s: error %v, want code 0x%02x", test.name, err, byte(test.code))
		}
		if left, _ := io.ReadAll(in); test.want != "" && string(left) != rest {
			t.Errorf("%s: %q is left, want all behind the request", test.name, left)
		}
	}
}

func TestParseSOCKS(t *testing.T) {
	for text, want := range map[string]string{
		"1080": "socks5:1080", "0": "socks5:0", "127.0.0.1:1080": "socks5:1080",
		"0.0.0.0:1080": "socks5:0.0.0.0:1080", "[::1]:0": "socks5:[::1]:0",
	} {
		f, err := ParseSOCKS(text)
		if err != nil || !f.SOCKS || f.String() != want || f.Target != SOCKSTarget {
			t.Errorf("ParseSOCKS(%q) = %+v, %v; want %s", text, f, err, want)
		}
		if back, err := ParseForward(f.String()); err != nil || back != f {
			t.Errorf("ParseForward(%q) = %+v, %v", f.String(), back, err)
		}
	}
	for _, text := range []string{"", "x", "70000", "1080:web", "unix:/tmp/s", ":1080", "a b:1", "1080/x", "socks5"} {
		if f, err := ParseSOCKS(text); err == nil {
			t.Errorf("ParseSOCKS(%q) = %+v, want an error", text, f)
		}
	}
	if f, err := ParseForward("1080:socks5"); err != nil || f.SOCKS {
		t.Errorf("a target that happens to be called socks5: %+v, %v", f, err)
	}
}

// socksDial asks a proxy for an address and returns the connection and the reply's code.
func socksDial(t *testing.T, proxy, host string, port uint16) (net.Conn, socksCode) {
	t.Helper()
	c := dialTo(t, "tcp", proxy)
	b := []byte{5, 1, 0, 5, 1, 0}
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		b = append(append(b, socksIPv4), a.AsSlice()...)
	} else if err == nil {
		b = append(append(b, socksIPv6), a.AsSlice()...)
	} else {
		b = append(append(b, socksDomain, byte(len(host))), host...)
	}
	send(t, c, string(append(b, byte(port>>8), byte(port))))
	reply := make([]byte, 2+socksReplySize)
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatalf("read reply for %s: %v", host, err)
	}
	if string(reply[:2]) != "\x05\x00" || reply[2] != 5 || string(reply[4:]) != "\x00\x01\x00\x00\x00\x00\x00\x00" {
		t.Fatalf("reply for %s: % x", host, reply)
	}
	return c, socksCode(reply[3])
}

// startSOCKS runs a proxy into networks.
func startSOCKS(t *testing.T, r *rig, cfg ForwardConfig, networks ...string) (*Forward, string) {
	t.Helper()
	cfg.Networks = func() []string { return networks }
	return startForward(t, r, cfg, "socks5:0")
}

func portOf(t *testing.T, addr string) uint16 {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// names is a resolver of the daemon.
func names(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch host {
	case "inside.lan":
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	case "outside.lan":
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestSOCKSCarries(t *testing.T) {
	echoAt, closedAt := serve(t, echo), freePort(t)
	r := newRig(t, ExposerConfig{LookupNetIP: names}, "far=10.9.0.0/16:*", "one=127.0.0.0/8:1", "near=127.0.0.0/8:*", "other=127.0.0.0/8:*")
	opened := make(chan ConnInfo, 10)
	f, proxy := startSOCKS(t, r, ForwardConfig{OnOpen: func(i ConnInfo) { opened <- i }}, "far", "one", "near", "other")
	for _, host := range []string{"127.0.0.1", "inside.lan", "::ffff:127.0.0.1"} {
		c, code := socksDial(t, proxy, host, portOf(t, echoAt))
		if code != socksOK {
			t.Fatalf("%s: code 0x%02x", host, byte(code))
		}
		send(t, c, "hello")
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
			t.Errorf("%s: echo %q, %v", host, got, err)
		}
		if i := wait(t, opened, "OnOpen"); !strings.HasPrefix(i.Target, "near/") {
			t.Errorf("%s: target %q, want the first network that has it", host, i.Target)
		}
	}
	for _, test := range []struct {
		host string
		port uint16
		want socksCode
	}{
		{"192.0.2.1", 80, socksNotAllowed},
		{"::1", 80, socksNotAllowed},
		{"outside.lan", 80, socksNotAllowed},
		{"nowhere.lan", 80, socksHost},
		{"127.0.0.1", portOf(t, closedAt), socksRefused},
	} {
		c, code := socksDial(t, proxy, test.host, test.port)
		if code != test.want {
			t.Errorf("%s:%d: code 0x%02x, want 0x%02x", test.host, test.port, byte(code), byte(test.want))
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s:%d: read %v behind the reply, want EOF", test.host, test.port, err)
		}
		_ = c.Close()
	}
	eventually(t, "the connections' end", func() bool { return f.Stats().Active == 0 })
	if s := f.Stats(); s.Opened != 3 || s.Refused != 5 {
		t.Errorf("Stats = %+v", s)
	}
}

func TestSOCKSDenied(t *testing.T) {
	echoAt := serve(t, echo)
	r := newRig(t, ExposerConfig{}, "lan=127.0.0.0/8:*", "web="+echoAt)
	r.grants.deny("lan", deniedError{"not_authorized"})
	_, proxy := startSOCKS(t, r, ForwardConfig{}, "lan")
	if _, code := socksDial(t, proxy, "127.0.0.1", portOf(t, echoAt)); code != socksNotAllowed {
		t.Errorf("denied: code 0x%02x", byte(code))
	}
	_, proxy = startSOCKS(t, r, ForwardConfig{})
	if _, code := socksDial(t, proxy, "127.0.0.1", portOf(t, echoAt)); code != socksNotAllowed {
		t.Errorf("no networks: code 0x%02x", byte(code))
	}
	_, proxy = startSOCKS(t, r, ForwardConfig{RefuseWhenHeld: true, Live: func() bool { return false }}, "lan")
	if _, code := socksDial(t, proxy, "127.0.0.1", portOf(t, echoAt)); code != socksNetwork {
		t.Errorf("held: code 0x%02x", byte(code))
	}
}

// What is not SOCKS gets no answer, and so does a client that goes away.
func TestSOCKSNonsense(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "lan=127.0.0.0/8:*")
	refused := make(chan error, 9)
	_, proxy := startSOCKS(t, r, ForwardConfig{OnRefuse: func(_ ConnInfo, err error) { refused <- err }}, "lan")
	for _, in := range []string{"GET / HTTP/1.1\r\n\r\n", "\x04\x01", "\x05\x01\x02"} {
		c := dialTo(t, "tcp", proxy)
		send(t, c, in)
		_ = c.(*net.TCPConn).CloseWrite() // it may be reset already
		got, _ := io.ReadAll(c)           // an end or a reset
		if len(got) != 0 && string(got) != "\x05\xff" {
			t.Errorf("%q is answered %q", in, got)
		}
		if err := wait(t, refused, "OnRefuse"); socksCodeOf(err) != socksCodeUnknown {
			t.Errorf("OnRefuse = %v", err)
		}
	}
}

func TestSOCKSCodes(t *testing.T) {
	for err, want := range map[error]socksCode{
		&StatusError{Status: StatusRefused}:       socksRefused,
		&StatusError{Status: StatusTimeout}:       socksExpired,
		&StatusError{Status: StatusUnreachable}:   socksHost,
		&StatusError{Status: StatusDenied}:        socksNotAllowed,
		&StatusError{Status: StatusUnknownTarget}: socksNotAllowed,
		&StatusError{Status: StatusBusy}:          socksFailure,
		&StatusError{Status: StatusUnsupported}:   socksFailure,
		context.DeadlineExceeded:                  socksFailure,
		ErrHeld:                                   socksNetwork,
	} {
		if got := socksCodeOf(err); got != want {
			t.Errorf("%v: code 0x%02x, want 0x%02x", err, byte(got), byte(want))
		}
	}
}

func TestSOCKSNeedsNetworks(t *testing.T) {
	spec, err := ParseSOCKS("0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewForward(ForwardConfig{Spec: spec, Opener: openerFunc(nil)}); err == nil {
		t.Error("NewForward takes a SOCKS proxy without Networks")
	}
}

func FuzzSOCKSHandshake(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x01\x0a\x01\x02\x03\x01\xbb"))
	f.Add([]byte("\x05\x02\x00\x02\x05\x01\x00\x03\x08db.local\x15\x38rest"))
	f.Add([]byte("\x05\x01\x00\x05\x03\x00\x04"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		began := time.Now()
		address, err := socksHandshake(duo{bytes.NewReader(in), &out})
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if out.Len() > 2 {
			t.Errorf("answered % x", out.Bytes())
		}
		if err != nil {
			if _, ok := errors.AsType[*socksError](err); !ok || address != "" {
				t.Errorf("%q, %v", address, err)
			}
			return
		}
		if err := CheckRef("lan/" + address); err != nil {
			t.Errorf("address %q: %v", address, err)
		}
	})
}
