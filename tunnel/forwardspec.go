package tunnel

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultBind is where forwards listen unless told otherwise.
const DefaultBind = "127.0.0.1"

// TargetPort in ForwardSpec.Port means: the port that the daemon suggests for
// the target, or any free one when it suggests none.
const TargetPort = -1

// ForwardSpec says where to listen and which target that leads to.
type ForwardSpec struct {
	Network string // NetworkTCP or NetworkUnix
	Bind    string // tcp: host name or IP address
	Port    int    // tcp: local port, 0 = any free one, TargetPort = the target's
	Path    string // unix: the socket
	Target  string // NAME or NAME/HOST:PORT
	SOCKS   bool   // a SOCKS proxy into the daemon's network targets; Target is SOCKSTarget
}

// ParseForward parses what a client's user writes:
//
//	web                    the target web, on its own port of 127.0.0.1
//	8080:web               local port 8080
//	0:web                  any free port
//	0.0.0.0:8080:web       another local address; [::1]:8080:web for IPv6
//	unix:/tmp/x.sock:db    a local socket
//	8443:lan/10.1.2.3:443  an address inside a network target
//	socks5:1080            a SOCKS proxy into all network targets; socks5:BIND:PORT
//
// In unix:PATH:TARGET the target is the longest end that can be one, so a path
// may hold colons.
func ParseForward(s string) (ForwardSpec, error) {
	f, err := parseForward(s)
	if err != nil {
		return ForwardSpec{}, fmt.Errorf("forward %q: %w", s, err)
	}
	return f, nil
}

func parseForward(s string) (ForwardSpec, error) {
	if rest, ok := strings.CutPrefix(s, "unix:"); ok {
		return parseUnixForward(rest)
	}
	if rest, ok := strings.CutPrefix(s, socksPrefix); ok {
		return parseSOCKSForward(rest)
	}
	return parseTCPForward(s)
}

func parseTCPForward(s string) (ForwardSpec, error) {
	f := ForwardSpec{Network: NetworkTCP, Bind: DefaultBind, Port: TargetPort}
	// The target's name runs from the last colon before the first slash; what
	// follows a slash is an address of a network target.
	head, _, _ := strings.Cut(s, "/")
	colon := strings.LastIndexByte(head, ':')
	f.Target = s[colon+1:]
	if err := CheckRef(f.Target); err != nil {
		if f.Target == "" {
			return ForwardSpec{}, errors.New("the target is missing: write [[BIND:]PORT:]TARGET")
		}
		return ForwardSpec{}, err
	}
	if colon < 0 {
		return f, nil
	}
	local := s[:colon]
	if !strings.Contains(local, ":") && !strings.ContainsAny(local, "[]") {
		port, err := parseLocalPort(local)
		if err != nil {
			return ForwardSpec{}, fmt.Errorf("%w (a local address is written with its port, 0.0.0.0:8080:%s)", err, f.Target)
		}
		f.Port = port
		return f, nil
	}
	host, port, err := splitHostPort(local)
	if err != nil {
		return ForwardSpec{}, err
	}
	if host == "" {
		return ForwardSpec{}, errors.New("the local address before the port is empty: write 0.0.0.0 to listen on all of them")
	}
	if f.Port, err = parseLocalPort(port); err != nil {
		return ForwardSpec{}, err
	}
	f.Bind = host
	return f, nil
}

func parseUnixForward(s string) (ForwardSpec, error) {
	for i := range len(s) {
		if s[i] != ':' || i == 0 || CheckRef(s[i+1:]) != nil {
			continue
		}
		if strings.IndexByte(s[:i], 0) >= 0 {
			return ForwardSpec{}, errors.New("the path of the socket holds a zero byte")
		}
		return ForwardSpec{Network: NetworkUnix, Path: s[:i], Target: s[i+1:]}, nil
	}
	return ForwardSpec{}, errors.New("write a local socket as unix:/path/to.sock:TARGET")
}

func parseLocalPort(s string) (int, error) {
	if s == "0" {
		return 0, nil
	}
	port, err := parsePort(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no local port: use 1 to 65535, or 0 for any free one", s)
	}
	return port, nil
}

// String is the forward in the form that ParseForward takes.
func (f ForwardSpec) String() string {
	switch {
	case f.SOCKS && f.Bind == DefaultBind:
		return socksPrefix + strconv.Itoa(f.Port)
	case f.SOCKS:
		return socksPrefix + net.JoinHostPort(f.Bind, strconv.Itoa(f.Port))
	case f.Network == NetworkUnix:
		return "unix:" + f.Path + ":" + f.Target
	case f.Bind == DefaultBind && f.Port == TargetPort:
		return f.Target
	case f.Bind == DefaultBind:
		return strconv.Itoa(f.Port) + ":" + f.Target
	default:
		return net.JoinHostPort(f.Bind, strconv.Itoa(max(f.Port, 0))) + ":" + f.Target
	}
}

// TargetName is the name of the target without the address of a network target.
func (f ForwardSpec) TargetName() string {
	name, _, _ := splitRef(f.Target)
	return name
}
