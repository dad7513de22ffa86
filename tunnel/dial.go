package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// maxResolved bounds how many addresses of one host name are tried: the dial's
// time is shared by all of them.
const maxResolved = 4

// dialError is a dial that failed: what the client is told, and why, which is
// for the daemon's owner alone.
type dialError struct {
	answer answer
	err    error
}

func (e *dialError) Error() string {
	if e.err == nil {
		return e.answer.status.String() + ": " + e.answer.text
	}
	return e.answer.status.String() + ": " + e.err.Error() // for a log
}

func (e *dialError) Unwrap() error { return e.err }

// dialer opens connections to targets.
type dialer struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// connect dials a target; address is the HOST:PORT that the client named, for
// a network target. Errors are *dialError.
func (d *dialer) connect(ctx context.Context, t Target, address string, named bool) (net.Conn, error) {
	if named != (t.Network == NetworkCIDR) {
		if named {
			return nil, refuse(StatusUnknownTarget, "the target is one address: ask for its name alone")
		}
		return nil, refuse(StatusUnknownTarget, "the target is a network: ask for NAME/HOST:PORT")
	}
	var c net.Conn
	var err error
	switch t.Network {
	case NetworkCIDR:
		return d.connectInside(ctx, t, address)
	case NetworkUnix:
		c, err = d.dial(ctx, "unix", t.Address)
	default:
		c, err = d.connectTCP(ctx, t)
	}
	if err != nil {
		return nil, dialFailed(err)
	}
	return c, nil
}

// connectTCP dials host and port. localhost is this machine's loopback and no
// matter for a resolver: programs listen on either address family.
func (d *dialer) connectTCP(ctx context.Context, t Target) (net.Conn, error) {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil || host != "localhost" {
		return d.dial(ctx, "tcp", t.Address)
	}
	c, err := d.dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err == nil || !isRefused(err) {
		return c, err
	}
	if c, err6 := d.dial(ctx, "tcp", net.JoinHostPort("::1", port)); err6 == nil {
		return c, nil
	}
	return nil, err
}

// connectInside dials an address of a network target. A host name is resolved
// here, once, and the addresses that were checked are the ones dialled: a name
// server cannot lead the dial out of the network.
func (d *dialer) connectInside(ctx context.Context, t Target, address string) (net.Conn, error) {
	host, portText, err := splitHostPort(address)
	if err != nil {
		return nil, refuse(StatusUnknownTarget, "ask for NAME/HOST:PORT")
	}
	port, err := parsePort(portText)
	if err != nil {
		return nil, refuse(StatusUnknownTarget, "ask for NAME/HOST:PORT")
	}
	if t.Port != 0 && port != t.Port {
		return nil, refuse(StatusUnknownTarget, fmt.Sprintf("the target allows port %d only", t.Port))
	}
	addrs, err := d.addresses(ctx, t, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		var c net.Conn
		if c, err = d.dial(ctx, "tcp", net.JoinHostPort(a.String(), strconv.Itoa(port))); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, dialFailed(err)
}

// addresses returns the host's addresses that lie in the target's network; at
// least one if there is no error.
func (d *dialer) addresses(ctx context.Context, t Target, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		all = []netip.Addr{a}
	} else {
		if all, err = d.lookup(ctx, "ip", host); err != nil {
			return nil, dialFailed(err)
		}
	}
	var inside []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.Zone() == "" && t.Prefix.Contains(a) && len(inside) < maxResolved {
			inside = append(inside, a)
		}
	}
	if len(inside) == 0 {
		return nil, refuse(StatusUnknownTarget, "the address is outside the target's network")
	}
	return inside, nil
}

func refuse(s Status, text string) error { return &dialError{answer: answer{status: s, text: text}} }

// dialFailed says what the client is told of a failed dial. The text names no
// address: it is the owner's business where a target is.
func dialFailed(err error) error {
	say := func(s Status, text string) error { return &dialError{answer: answer{status: s, text: text}, err: err} }
	if errors.Is(err, context.DeadlineExceeded) {
		return say(StatusTimeout, "the target has not answered in time")
	}
	if de, ok := errors.AsType[*net.DNSError](err); ok {
		if de.IsTimeout {
			return say(StatusTimeout, "the target's name was not resolved in time")
		}
		return say(StatusUnreachable, "the target's host name is not known")
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return say(StatusTimeout, "the target has not answered in time")
	}
	s, ok := statusOf(err)
	if !ok {
		return say(StatusUnreachable, "the target cannot be reached")
	}
	switch s {
	case StatusRefused:
		return say(s, "nothing listens there")
	case StatusTimeout:
		return say(s, "the target has not answered in time")
	case StatusBusy:
		return say(s, "the target, or the daemon, takes no more connections now")
	default:
		return say(s, "the target cannot be reached")
	}
}
