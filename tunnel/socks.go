package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// SOCKS version 5 (RFC 1928) as a forward serves it: CONNECT without authentication, to
// addresses inside the network targets that the daemon allows. All integers are
// big-endian.
//
//	client  greeting  version(1)=5, n(1), n methods of 1 byte
//	server  choice    version(1)=5, method(1): 0x00, or 0xFF for none of them
//	client  request   version(1)=5, command(1), 0x00, kind(1), address, port(2)
//	server  reply     version(1)=5, code(1), 0x00, kind(1)=1, 0.0.0.0, 0
//
// A client that waits for the reply before it sends data works, and one that does not
// wait too: no byte behind the request is read early.
const (
	socksVersion   = 0x05
	socksNoAuth    = 0x00 // method
	socksNoMethod  = 0xFF
	socksConnect   = 0x01 // command
	socksIPv4      = 0x01 // kind of address: 4 bytes
	socksDomain    = 0x03 // length(1), name
	socksIPv6      = 0x04 // 16 bytes
	socksReplySize = 10
)

// socksCode is the code of a reply (RFC 1928, section 6).
type socksCode byte

const (
	socksOK          socksCode = 0x00
	socksFailure     socksCode = 0x01 // general
	socksNotAllowed  socksCode = 0x02 // by ruleset
	socksNetwork     socksCode = 0x03 // network unreachable
	socksHost        socksCode = 0x04 // host unreachable
	socksRefused     socksCode = 0x05
	socksExpired     socksCode = 0x06 // TTL expired: it took too long
	socksNoCommand   socksCode = 0x07
	socksNoAddrKind  socksCode = 0x08
	socksCodeUnknown socksCode = 0xFF // no reply: no request came
)

// socksError is a request that is not served, with what the client is told.
type socksError struct {
	code socksCode // socksCodeUnknown: nothing, it has not asked for anything
	err  error
}

func (e *socksError) Error() string { return "SOCKS request: " + e.err.Error() }
func (e *socksError) Unwrap() error { return e.err }

func socksErrorf(code socksCode, format string, args ...any) error {
	return &socksError{code, fmt.Errorf(format, args...)}
}

// socksHandshake reads a client's greeting and request, answers the greeting, and returns
// the HOST:PORT that is wanted. Reading ends exactly behind the request. The caller sends
// the reply, also on an error, which is a *socksError, unless its code is
// socksCodeUnknown.
func socksHandshake(c io.ReadWriter) (address string, err error) {
	var buf [256]byte
	head := buf[:2]
	if _, err := io.ReadFull(c, head); err != nil {
		return "", socksErrorf(socksCodeUnknown, "read greeting: %w", err)
	}
	switch head[0] {
	case socksVersion:
	case 0x04:
		return "", socksErrorf(socksCodeUnknown, "version 4: tell the program socks5://, or socks5h:// so that names are resolved at the daemon")
	default:
		return "", socksErrorf(socksCodeUnknown, "first byte 0x%02x: this port speaks SOCKS 5 and nothing else", head[0])
	}
	methods := buf[:head[1]]
	if _, err := io.ReadFull(c, methods); err != nil {
		return "", socksErrorf(socksCodeUnknown, "read greeting: %w", err)
	}
	choice := byte(socksNoMethod)
	for _, m := range methods {
		if m == socksNoAuth {
			choice = socksNoAuth
		}
	}
	if _, err := c.Write([]byte{socksVersion, choice}); err != nil {
		return "", socksErrorf(socksCodeUnknown, "answer greeting: %w", err)
	}
	if choice == socksNoMethod {
		return "", socksErrorf(socksCodeUnknown, "the program insists on authentication: give it no user and password")
	}
	return socksRequest(c)
}

// socksRequest reads the request that follows the greeting.
func socksRequest(r io.Reader) (address string, err error) {
	var buf [256]byte
	head := buf[:4]
	if _, err := io.ReadFull(r, head); err != nil {
		return "", socksErrorf(socksCodeUnknown, "read request: %w", err)
	}
	if head[0] != socksVersion {
		return "", socksErrorf(socksCodeUnknown, "version %d", head[0])
	}
	command, kind := head[1], head[3]
	var host string
	switch kind {
	case socksIPv4, socksIPv6:
		raw := buf[:4]
		if kind == socksIPv6 {
			raw = buf[:16]
		}
		if _, err := io.ReadFull(r, raw); err != nil {
			return "", socksErrorf(socksCodeUnknown, "read address: %w", err)
		}
		a, _ := netip.AddrFromSlice(raw) // 4 or 16 bytes
		host = a.Unmap().String()
	case socksDomain:
		if _, err := io.ReadFull(r, buf[:1]); err != nil {
			return "", socksErrorf(socksCodeUnknown, "read address: %w", err)
		}
		name := buf[:buf[0]]
		if _, err := io.ReadFull(r, name); err != nil {
			return "", socksErrorf(socksCodeUnknown, "read address: %w", err)
		}
		host = string(name)
	default:
		return "", socksErrorf(socksNoAddrKind, "address of kind 0x%02x", kind)
	}
	port := buf[:2]
	if _, err := io.ReadFull(r, port); err != nil {
		return "", socksErrorf(socksCodeUnknown, "read port: %w", err)
	}
	if command != socksConnect {
		return "", socksErrorf(socksNoCommand, "command 0x%02x: only CONNECT is served", command)
	}
	if err := checkHost(host); err != nil || host == "" {
		return "", socksErrorf(socksHost, "%s is no host name", quoteText(host))
	}
	n := int(port[0])<<8 | int(port[1])
	if n == 0 {
		return "", socksErrorf(socksFailure, "port 0")
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

// appendSOCKSReply appends a reply. The address in it is where the daemon's own socket is
// bound, which is nobody's business: zeros.
func appendSOCKSReply(b []byte, code socksCode) []byte {
	return append(b, socksVersion, byte(code), 0, socksIPv4, 0, 0, 0, 0, 0, 0)
}

// socksCodeOf is what a client is told of a failure.
func socksCodeOf(err error) socksCode {
	if se, ok := errors.AsType[*socksError](err); ok {
		return se.code
	}
	if errors.Is(err, ErrHeld) {
		return socksNetwork
	}
	st, ok := errors.AsType[*StatusError](err)
	if !ok {
		return socksFailure
	}
	switch st.Status {
	case StatusUnknownTarget, StatusDenied:
		return socksNotAllowed
	case StatusRefused:
		return socksRefused
	case StatusTimeout:
		return socksExpired
	case StatusUnreachable:
		return socksHost
	default:
		return socksFailure
	}
}
