package tunnel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"culvert/mux"
)

// The networks of a Target.
const (
	NetworkTCP  = "tcp"  // Address is host:port
	NetworkUnix = "unix" // Address is a path
	NetworkCIDR = "cidr" // Prefix and Port say which addresses a client may name
)

// maxTargetName is the longest target name, in bytes.
const maxTargetName = 64

// Target is a named thing that a daemon exposes.
type Target struct {
	Name    string
	Network string       // NetworkTCP, NetworkUnix or NetworkCIDR
	Address string       // tcp: host:port; unix: path; cidr: empty
	Prefix  netip.Prefix // cidr
	Port    int          // tcp: the port; cidr: the port that is allowed, 0 = all; unix: 0
}

// ParseTarget parses what a daemon's owner writes:
//
//	3000                  port 3000 of this machine, named "3000"
//	127.0.0.1:22          host and port, named after the port: "22"
//	[::1]:80              the same for IPv6
//	unix:/run/app.sock    a socket, named after the file: "app"
//	web=3000              any of these with a name of one's own
//	lan=10.0.0.0/8:443    one port of a network; always needs a name
//	lan=10.0.0.0/8:*      all ports of it
//
// A port without a host means localhost, which is dialled as 127.0.0.1 and,
// when nothing listens there, as ::1; no resolver is asked.
func ParseTarget(s string) (Target, error) {
	name, address, named := "", s, false
	// A '=' after the first '/' or ':' belongs to a socket's path.
	if i := strings.IndexAny(s, "=/:"); i >= 0 && s[i] == '=' {
		name, address, named = s[:i], s[i+1:], true
	}
	t, err := parseTargetAddress(address)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", s, err)
	}
	switch {
	case named:
		t.Name = name
	case t.Network == NetworkCIDR:
		return Target{}, fmt.Errorf("target %q: a network needs a name: write lan=%s", s, address)
	case t.Network == NetworkUnix:
		t.Name = strings.TrimSuffix(path.Base(strings.ReplaceAll(t.Address, `\`, "/")), path.Ext(t.Address))
	default:
		t.Name = strconv.Itoa(t.Port)
	}
	if err := CheckTargetName(t.Name); err != nil {
		if !named {
			return Target{}, fmt.Errorf("target %q: no name can be made of it (%w): write NAME=%s", s, err, address)
		}
		return Target{}, fmt.Errorf("target %q: %w", s, err)
	}
	return t, nil
}

// parseTargetAddress parses a target without its name.
func parseTargetAddress(s string) (Target, error) {
	if file, ok := strings.CutPrefix(s, "unix:"); ok {
		if file == "" || strings.IndexByte(file, 0) >= 0 {
			return Target{}, errors.New("the path of the socket is missing: write unix:/path/to.sock")
		}
		return Target{Network: NetworkUnix, Address: file}, nil
	}
	if s == "" {
		return Target{}, errors.New("it is empty: write a port, host:port, unix:/path or NAME=network/bits:port")
	}
	if strings.Contains(s, "://") {
		return Target{}, errors.New("write host:port, not a URL")
	}
	if strings.Contains(s, "/") {
		return parseNetwork(s)
	}
	if !strings.Contains(s, ":") {
		port, err := parsePort(s)
		if err != nil {
			if strings.Trim(s, "0123456789") != "" {
				return Target{}, fmt.Errorf("%q is no port: write a port, host:port, or %s:PORT", s, s)
			}
			return Target{}, err
		}
		return Target{Network: NetworkTCP, Address: net.JoinHostPort("localhost", strconv.Itoa(port)), Port: port}, nil
	}
	host, portText, err := splitHostPort(s)
	if err != nil {
		return Target{}, err
	}
	port, err := parsePort(portText)
	if err != nil {
		return Target{}, err
	}
	if host == "" {
		host = "localhost"
	}
	return Target{Network: NetworkTCP, Address: net.JoinHostPort(host, strconv.Itoa(port)), Port: port}, nil
}

// parseNetwork parses ADDRESS/BITS:PORT or ADDRESS/BITS:*; an IPv6 network may
// stand in brackets, [fd00::/8]:443.
func parseNetwork(s string) (Target, error) {
	const want = "write a network as 10.0.0.0/8:443, [fd00::/8]:443, or with :* for all ports"
	prefixText, portText := s, ""
	if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, after, ok := strings.Cut(rest, "]:")
		if !ok {
			return Target{}, errors.New(want)
		}
		prefixText, portText = inner, after
	} else {
		slash := strings.LastIndexByte(s, '/')
		colon := strings.IndexByte(s[slash:], ':')
		if colon < 0 {
			return Target{}, fmt.Errorf("the port of the network is missing: %s", want)
		}
		prefixText, portText = s[:slash+colon], s[slash+colon+1:]
	}
	p, err := netip.ParsePrefix(prefixText)
	if err != nil {
		return Target{}, fmt.Errorf("%q is no network: %s", prefixText, want)
	}
	if p.Addr().Is4In6() {
		return Target{}, fmt.Errorf("%q: write an IPv4 network in its own form", prefixText)
	}
	if p != p.Masked() {
		return Target{}, fmt.Errorf("%q has bits beyond its length: did you mean %s or %s/%d?", prefixText, p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	t := Target{Network: NetworkCIDR, Prefix: p}
	if portText == "*" {
		return t, nil
	}
	if t.Port, err = parsePort(portText); err != nil {
		return Target{}, err
	}
	return t, nil
}

// splitHostPort is net.SplitHostPort with a check of the host and errors that
// say what to write.
func splitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		if strings.Count(s, ":") > 1 && !strings.Contains(s, "[") {
			return "", "", fmt.Errorf("%q: write an IPv6 address in brackets, [::1]:80", s)
		}
		return "", "", fmt.Errorf("%q is not host:port", s)
	}
	if err := checkHost(host); err != nil {
		return "", "", err
	}
	return host, port, nil
}

// checkHost takes IP addresses and anything that can be a host name; empty too.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(host) > 253 {
		return fmt.Errorf("a host name of %d bytes: at most 253 are allowed", len(host))
	}
	for i := range len(host) {
		if c := host[i]; !nameByte(c) {
			return fmt.Errorf("%q is no host name or IP address", host)
		}
	}
	return nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, fmt.Errorf("%q is no port: use 1 to 65535", s)
	}
	return int(n), nil
}

// CheckTargetName tells whether s can name a target: 1 to 64 ASCII letters,
// digits, '-', '_' and '.', the first one a letter or digit.
func CheckTargetName(s string) error {
	if s == "" {
		return errors.New("the target's name is empty")
	}
	if len(s) > maxTargetName {
		return fmt.Errorf("a target name of %d bytes: at most %d are allowed", len(s), maxTargetName)
	}
	for i := range len(s) {
		if !nameByte(s[i]) || i == 0 && !alnum(s[0]) {
			return fmt.Errorf("target name %q: use letters, digits, '-', '_' and '.', and begin with a letter or digit", s)
		}
	}
	return nil
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func nameByte(c byte) bool { return alnum(c) || c == '-' || c == '_' || c == '.' }

// String is the target in the form that ParseTarget takes, with its name.
func (t Target) String() string {
	switch t.Network {
	case NetworkUnix:
		return t.Name + "=unix:" + t.Address
	case NetworkCIDR:
		port, prefix := "*", t.Prefix.String()
		if t.Port != 0 {
			port = strconv.Itoa(t.Port)
		}
		if t.Prefix.Addr().Is6() {
			prefix = "[" + prefix + "]"
		}
		return t.Name + "=" + prefix + ":" + port
	default:
		return t.Name + "=" + t.Address
	}
}

// Info is what a client that may reach the target is told of it: its name, its
// kind, and for tcp the port that the client would like to listen on.
func (t Target) Info() mux.TargetInfo {
	info := mux.TargetInfo{Name: t.Name, Kind: t.Network}
	if t.Network == NetworkTCP {
		info.Port = t.Port
	}
	return info
}
