package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
)

// sshSystem is OpenSSH through a jump host: end to end encrypted, as culvert is.
type sshSystem struct{ short, cipher string }

func (s sshSystem) name() string { return "ssh-" + s.short }
func (s sshSystem) about() string {
	return "ssh -J with " + s.cipher + ", end to end encrypted, and again to the jump host"
}
func (sshSystem) figures() []string { return nil }

func (sshSystem) missing() string {
	for _, name := range []string{"ssh", "sshd", "ssh-keygen"} {
		if program(name) == "" {
			return "there is no " + name
		}
	}
	return ""
}

func (sshSystem) binaries() []string { return []string{program("ssh"), program("sshd")} }

// program finds a program in PATH or where servers are kept; empty: it is not installed.
func program(name string) string {
	for _, p := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(p); err == nil {
			if abs, err := filepath.Abs(found); err == nil { // sshd insists
				return abs
			}
		}
	}
	return ""
}

func (y sshSystem) start(ctx context.Context, b *world, s *site) (_ *instance, err error) {
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
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd as root refuses to start without
			return nil, err
		}
	}
	for _, key := range []string{"host", "user"} {
		if _, err := run(ctx, s.place(relayRole), nil, program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)); err != nil {
			return nil, err
		}
	}
	hosts := make(map[role]string)
	for _, r := range []role{relayRole, daemonRole} {
		addr, err := s.freeAddr(r)
		if err != nil {
			return nil, err
		}
		if err := y.startServer(b, s, in, dir, r, addr); err != nil {
			return nil, err
		}
		if err := awaitListener(ctx, s, r, addr); err != nil {
			return nil, err
		}
		hosts[r] = addr
	}
	jump, err := s.via(clientRole, hosts[relayRole])
	if err != nil {
		return nil, err
	}
	target, err := s.via(daemonRole, hosts[daemonRole])
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "ssh_config")
	if err := os.WriteFile(config, []byte(y.config(dir, me.Username, jump, target)), 0o600); err != nil {
		return nil, err
	}
	in.connect = func(context.Context) error { return y.forward(b, s, in, config) }
	return in, nil
}

func (y sshSystem) startServer(b *world, s *site, in *instance, dir string, r role, addr string) error {
	host, port, _ := net.SplitHostPort(addr) // our own
	config := filepath.Join(dir, string(r)+".conf")
	text := fmt.Sprintf(`ListenAddress %s:%s
HostKey %s
AuthorizedKeysFile %s
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 100
Ciphers %s
`, host, port, filepath.Join(dir, "host"), filepath.Join(dir, "user.pub"), y.cipher)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	p, err := b.spawn(s.place(r), r, program("sshd"), "-D", "-e", "-f", config)
	if err == nil {
		in.add(p)
	}
	return err
}

// config is the client's.
func (y sshSystem) config(dir, login, jump, target string) string {
	host := func(name, addr, more string) string {
		ip, port, _ := net.SplitHostPort(addr) // our own
		return fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n%s", name, ip, port, more)
	}
	return host("jump", jump, "") + host("target", target, "  ProxyJump jump\n") + fmt.Sprintf(`Host *
  User %s
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  BatchMode yes
  LogLevel ERROR
  ExitOnForwardFailure yes
  Ciphers %s
`, login, filepath.Join(dir, "user"), y.cipher)
}

func (y sshSystem) forward(b *world, s *site, in *instance, config string) error {
	bulk, err := s.freeAddr(clientRole)
	if err != nil {
		return err
	}
	echo, err := s.freeAddr(clientRole)
	if err != nil {
		return err
	}
	p, err := b.spawn(s.place(clientRole), clientRole, program("ssh"), "-F", config, "-N",
		"-L", bulk+":"+s.bulk.addr, "-L", echo+":"+s.echoAddr, "target")
	if err != nil {
		return err
	}
	in.add(p)
	in.bulk, in.echo = bulk, echo
	return nil
}
