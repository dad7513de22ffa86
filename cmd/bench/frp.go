package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// frpSystem is frp's stcp: a shared secret per service, TLS to its server, no encryption end to end.
type frpSystem struct{}

func (frpSystem) name() string { return "frp" }
func (frpSystem) about() string {
	return "frp stcp as it comes: TLS to its server, which could read everything"
}
func (frpSystem) figures() []string  { return nil }
func (frpSystem) binaries() []string { return []string{program("frps"), program("frpc")} }

func (frpSystem) missing() string {
	if program("frps") == "" || program("frpc") == "" {
		return "frps and frpc are not in PATH"
	}
	return ""
}

// service is one forwarded port.
type service struct{ name, addr string }

func (y frpSystem) start(ctx context.Context, b *world, s *site) (_ *instance, err error) {
	dir, err := b.tempDir(y.name())
	if err != nil {
		return nil, err
	}
	in := &instance{site: s}
	defer func() {
		if err != nil {
			in.stop()
		}
	}()
	server, err := s.freeAddr(relayRole)
	if err != nil {
		return nil, err
	}
	if err := y.spawn(b, s, in, dir, relayRole, "frps", fmt.Sprintf("bindAddr = %q\nbindPort = %s\n", s.place(relayRole).ip, portOf(server))); err != nil {
		return nil, err
	}
	if err := awaitListener(ctx, s, relayRole, server); err != nil {
		return nil, err
	}
	near, err := s.via(daemonRole, server)
	if err != nil {
		return nil, err
	}
	var provider strings.Builder
	provider.WriteString(y.head(near))
	for _, v := range []service{{"bulk", s.bulk.addr}, {"echo", s.echoAddr}} {
		ip, port, _ := net.SplitHostPort(v.addr) // our own
		fmt.Fprintf(&provider, "[[proxies]]\nname = %q\ntype = \"stcp\"\nsecretKey = \"bench\"\nlocalIP = %q\nlocalPort = %s\n", v.name, ip, port)
	}
	if err := y.spawn(b, s, in, dir, daemonRole, "frpc", provider.String()); err != nil {
		return nil, err
	}
	far, err := s.via(clientRole, server)
	if err != nil {
		return nil, err
	}
	in.connect = func(context.Context) error {
		var visitor strings.Builder
		visitor.WriteString(y.head(far))
		for _, v := range []struct {
			name string
			addr *string
		}{{"bulk", &in.bulk}, {"echo", &in.echo}} {
			addr, err := s.freeAddr(clientRole)
			if err != nil {
				return err
			}
			*v.addr = addr
			ip, port, _ := net.SplitHostPort(addr) // our own
			fmt.Fprintf(&visitor, "[[visitors]]\nname = \"%s-visitor\"\ntype = \"stcp\"\nserverName = %q\nsecretKey = \"bench\"\nbindAddr = %q\nbindPort = %s\n", v.name, v.name, ip, port)
		}
		return y.spawn(b, s, in, dir, clientRole, "frpc", visitor.String())
	}
	return in, nil
}

// head is how a frpc reaches its server.
func (frpSystem) head(server string) string {
	ip, port, _ := net.SplitHostPort(server) // our own
	return fmt.Sprintf("serverAddr = %q\nserverPort = %s\n", ip, port)
}

func (frpSystem) spawn(b *world, s *site, in *instance, dir string, r role, name, config string) error {
	file := filepath.Join(dir, string(r)+".toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	p, err := b.spawn(s.place(r), r, program(name), "-c", file)
	if err == nil {
		in.add(p)
	}
	return err
}
