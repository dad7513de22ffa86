package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// place is a machine: this one, or a network namespace that stands for one.
type place struct {
	ip    string                      // under which the others reach it
	enter func(fn func() error) error // runs fn so that sockets and processes that it makes belong there
}

// site is three machines and what lies between them.
type site struct {
	places map[role]*place
	shaper *shaper // the path between them where it is not the network's; nil: none
	bulk   *bulkServer
	echo   *proc
	// echoAddr is where the echo server listens on the daemon's machine.
	echoAddr string
	cleanup  []func()

	mu    sync.Mutex
	given map[string]bool // guarded by mu; addresses that freeAddr has given
}

func here(fn func() error) error { return fn() }

// loopbackSite is this machine three times.
func loopbackSite() *site {
	p := &place{ip: "127.0.0.1", enter: here}
	return &site{places: map[role]*place{clientRole: p, relayRole: p, daemonRole: p}}
}

func (s *site) place(r role) *place { return s.places[r] }

// serve starts bulk and echo server on the daemon's machine.
func (s *site) serve(ctx context.Context, b *world) error {
	p := s.place(daemonRole)
	err := p.enter(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			s.bulk = serveBulk(l)
		}
		return err
	})
	if err != nil {
		return err
	}
	if s.echo, err = b.spawn(p, "", b.self, roleEcho, "127.0.0.1:0"); err != nil {
		return err
	}
	lines, err := s.echo.lines(ctx, 1)
	if err != nil {
		return err
	}
	s.echoAddr = lines[0]
	return nil
}

func (s *site) close() {
	if s.echo != nil {
		s.echo.stop()
	}
	if s.bulk != nil {
		s.bulk.close()
	}
	if s.shaper != nil {
		s.shaper.close()
	}
	for _, f := range s.cleanup {
		f()
	}
}

// via returns the address by which r's machine and the relay's reach addr of the other: itself, unless a shaper
// stands between.
func (s *site) via(r role, addr string) (string, error) {
	if s.shaper == nil {
		return addr, nil
	}
	return s.shaper.listen(addr, func() *leg { return s.shaper.legs[r] })
}

func (s *site) viaAll(r role, addrs []string) ([]string, error) {
	var out []string
	for _, a := range addrs {
		v, err := s.via(r, a)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// front is via for an address that both client and daemon are told: a connection belongs to the leg of turn.
func (s *site) front(addr string) (string, error) {
	if s.shaper == nil {
		return addr, nil
	}
	return s.shaper.listen(addr, func() *leg { return s.shaper.legs[s.shaper.turn()] })
}

// turn says whose connections come next.
func (s *site) turn(r role) {
	if s.shaper != nil {
		s.shaper.setTurn(r)
	}
}

// dial connects from the client's machine.
func (s *site) dial(ctx context.Context, addr string) (*net.TCPConn, error) {
	var c net.Conn
	err := s.place(clientRole).enter(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// freeAddr finds a port of a machine for a program that cannot be given port 0, or must be found at once. Somebody
// else may take it before the program does; then that program says so.
func (s *site) freeAddr(r role) (string, error) {
	p := s.place(r)
	for range 100 {
		var addr string
		err := p.enter(func() error {
			l, err := net.Listen("tcp", net.JoinHostPort(p.ip, "0"))
			if err != nil {
				return err
			}
			addr = l.Addr().String()
			return l.Close()
		})
		if err != nil {
			return "", err
		}
		s.mu.Lock()
		if s.given == nil {
			s.given = make(map[string]bool)
		}
		fresh := !s.given[addr]
		s.given[addr] = true
		s.mu.Unlock()
		if fresh {
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port on %s", p.ip)
}

// portOf is the port of an address that we have made.
func portOf(addr string) string { return strconv.Itoa(int(netip.MustParseAddrPort(addr).Port())) }
