package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// dialLog is a dialer that only notes where it was sent.
type dialLog struct {
	dialled []string
	lookups map[string][]netip.Addr
	asked   int
	fail    map[string]error
}

func (l *dialLog) dialer() *dialer {
	return &dialer{
		dial: func(_ context.Context, network, address string) (net.Conn, error) {
			l.dialled = append(l.dialled, network+" "+address)
			if err := l.fail[address]; err != nil {
				return nil, err
			}
			a, b := net.Pipe()
			_ = b.Close() // nobody talks
			return a, nil
		},
		lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			l.asked++
			if as, ok := l.lookups[host]; ok {
				return as, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	}
}

func addrs(ss ...string) []netip.Addr {
	var as []netip.Addr
	for _, s := range ss {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func TestNetworkTargets(t *testing.T) {
	tests := []struct {
		name, target, address string
		want                  string // what is dialled, joined
		status                Status
	}{
		{"inside", "lan=10.0.0.0/8:443", "10.1.2.3:443", "tcp 10.1.2.3:443", StatusOK},
		{"other port", "lan=10.0.0.0/8:443", "10.1.2.3:22", "", StatusUnknownTarget},
		{"all ports", "lan=10.0.0.0/8:*", "10.1.2.3:22", "tcp 10.1.2.3:22", StatusOK},
		{"outside", "lan=10.0.0.0/8:*", "11.0.0.1:22", "", StatusUnknownTarget},
		{"not a prefix of text", "lan=10.0.0.1/32:80", "110.0.0.1:80", "", StatusUnknownTarget},
		{"IPv4 in IPv6 form", "lan=10.0.0.0/8:*", "[::ffff:10.1.2.3]:22", "tcp 10.1.2.3:22", StatusOK},
		{"loopback in IPv6 form", "lan=10.0.0.0/8:*", "[::ffff:127.0.0.1]:22", "", StatusUnknownTarget},
		{"IPv6", "lan=[fd00::/8]:*", "[fd00::7]:22", "tcp [fd00::7]:22", StatusOK},
		{"IPv6 with a zone", "lan=[fe80::/10]:*", "[fe80::1%lo]:22", "", StatusUnknownTarget},
		{"name inside", "lan=10.0.0.0/8:*", "in.example:22", "tcp 10.0.0.5:22", StatusOK},
		{"name outside", "lan=10.0.0.0/8:*", "out.example:22", "", StatusUnknownTarget},
		{"name of both", "lan=10.0.0.0/8:*", "both.example:22", "tcp 10.0.0.6:22", StatusOK},
		{"first address is down", "lan=10.0.0.0/8:*", "two.example:22", "tcp 10.0.0.8:22,tcp 10.0.0.9:22", StatusOK},
		{"unknown name", "lan=10.0.0.0/8:*", "nope.example:22", "", StatusUnreachable},
		{"no port", "lan=10.0.0.0/8:*", "10.0.0.1", "", StatusUnknownTarget},
		{"service name", "lan=10.0.0.0/8:*", "10.0.0.1:ssh", "", StatusUnknownTarget},
		{"octal is no address", "lan=10.0.0.0/8:*", "012.0.0.1:22", "", StatusUnreachable},
	}
	for _, tt := range tests {
		l := &dialLog{
			lookups: map[string][]netip.Addr{
				"in.example":   addrs("10.0.0.5"),
				"out.example":  addrs("127.0.0.1", "::1", "169.254.169.254"),
				"both.example": addrs("127.0.0.1", "::ffff:10.0.0.6"),
				"two.example":  addrs("10.0.0.8", "10.0.0.9"),
			},
			fail: map[string]error{"10.0.0.8:22": errors.New("down")},
		}
		target, err := ParseTarget(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.dialer().connect(t.Context(), target, tt.address, true)
		if c != nil {
			_ = c.Close() // a pipe
		}
		if got := dialStatus(err); got != tt.status {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.status)
		}
		if got := strings.Join(l.dialled, ","); got != tt.want {
			t.Errorf("%s: dialled %q, want %q", tt.name, got, tt.want)
		}
		if l.asked > 1 {
			t.Errorf("%s: the name was resolved %d times", tt.name, l.asked)
		}
	}
}

// A name server that changes its mind cannot lead the dial elsewhere: the
// address that was checked is the one that is dialled.
func TestNoRebinding(t *testing.T) {
	l := &dialLog{}
	d := l.dialer()
	answers := [][]netip.Addr{addrs("10.0.0.5"), addrs("127.0.0.1"), addrs("127.0.0.1")}
	d.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		a := answers[0]
		answers = answers[1:]
		return a, nil
	}
	target, err := ParseTarget("lan=10.0.0.0/8:*")
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.connect(t.Context(), target, "evil.example:22", true)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if got := strings.Join(l.dialled, ","); got != "tcp 10.0.0.5:22" {
		t.Errorf("dialled %q", got)
	}
}

func dialStatus(err error) Status {
	if err == nil {
		return StatusOK
	}
	if de, ok := errors.AsType[*dialError](err); ok {
		return de.answer.status
	}
	return 0xff
}

func TestLocalhostTriesBothFamilies(t *testing.T) {
	target, err := ParseTarget("3000")
	if err != nil {
		t.Fatal(err)
	}
	refused := refusal(t)
	for name, tt := range map[string]struct {
		fail map[string]error
		want string
		ok   bool
	}{
		"IPv4":    {nil, "tcp 127.0.0.1:3000", true},
		"IPv6":    {map[string]error{"127.0.0.1:3000": refused}, "tcp 127.0.0.1:3000,tcp [::1]:3000", true},
		"neither": {map[string]error{"127.0.0.1:3000": refused, "[::1]:3000": errors.New("no IPv6")}, "tcp 127.0.0.1:3000,tcp [::1]:3000", false},
		"other":   {map[string]error{"127.0.0.1:3000": context.DeadlineExceeded}, "tcp 127.0.0.1:3000", false},
	} {
		l := &dialLog{fail: tt.fail}
		c, err := l.dialer().connect(t.Context(), target, "", false)
		if c != nil {
			_ = c.Close() // a pipe
		}
		if (err == nil) != tt.ok || strings.Join(l.dialled, ",") != tt.want || l.asked != 0 {
			t.Errorf("%s: %v, dialled %q, %d lookups", name, err, l.dialled, l.asked)
		}
		if name == "neither" && dialStatus(err) != StatusRefused {
			t.Errorf("neither: %v, want refused", err)
		}
	}
}

// refusal is what the system says when nothing listens.
func refusal(t *testing.T) error {
	t.Helper()
	_, err := net.Dial("tcp", freePort(t))
	if err == nil || !isRefused(err) {
		t.Fatalf("dial of a closed port: %v", err)
	}
	return err
}

func TestDialFailed(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want Status
	}{
		"deadline":    {context.DeadlineExceeded, StatusTimeout},
		"DNS":         {&net.DNSError{IsNotFound: true}, StatusUnreachable},
		"slow DNS":    {&net.DNSError{IsTimeout: true}, StatusTimeout},
		"refused":     {refusal(t), StatusRefused},
		"unspecific":  {errors.New("/etc/secret"), StatusUnreachable},
		"OS deadline": {timeoutError{}, StatusTimeout},
	} {
		err := dialFailed(tt.err)
		de, ok := errors.AsType[*dialError](err)
		if !ok || de.answer.status != tt.want || de.answer.text == "" || strings.Contains(de.answer.text, "secret") {
			t.Errorf("%s: %+v, want %v", name, de, tt.want)
		}
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
	// The real thing: a host that drops packets.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	_, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	if got := dialStatus(dialFailed(err)); got != StatusTimeout {
		t.Errorf("%v: %v, want timeout", err, got)
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
