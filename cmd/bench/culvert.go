package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// culvertSystem is the real binary: relay and control plane, expose, pair, forward, as a user runs them.
type culvertSystem struct {
	tls bool // between each end and the relay
}

func (c *culvertSystem) name() string {
	if c.tls {
		return "culvert-tls"
	}
	return "culvert"
}

func (c *culvertSystem) about() string {
	if c.tls {
		return "culvert with TLS to the relay (wss)"
	}
	return "culvert, end to end encrypted, without TLS to the relay"
}

func (*culvertSystem) missing() string { return "" }

// figures: TLS is measured where it costs something.
func (c *culvertSystem) figures() []string {
	if c.tls {
		return []string{"throughput", "latency", "conns"}
	}
	return nil
}

func (*culvertSystem) binaries() []string { return []string{culvertBinary} }

// event is what culvert prints with --json, as far as it matters here.
type event struct {
	Event, Target, Addr, URL, Message string
}

// awaitEvent waits for an event that match accepts.
func awaitEvent(ctx context.Context, p *proc, match func(event) bool) (event, error) {
	var found event
	err := p.await(ctx, func(lines []string) bool {
		for _, line := range lines {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && match(e) {
				found = e
				return true
			}
		}
		return false
	})
	return found, err
}

func (c *culvertSystem) start(ctx context.Context, b *world, s *site) (_ *instance, err error) {
	dir, err := b.tempDir(c.name())
	if err != nil {
		return nil, err
	}
	in := &instance{site: s, dirs: []func(){func() { _ = os.RemoveAll(dir) }}} // the bench's own directory goes at the end anyway
	defer func() {
		if err != nil {
			in.stop()
		}
	}()
	state := func(r role) string { return filepath.Join(dir, string(r)) }
	url, caFile, err := c.startRelay(ctx, b, s, in, dir, state(relayRole))
	if err != nil {
		return nil, err
	}
	s.turn(daemonRole)
	login := []string{"login", url, "--key-file", filepath.Join(state(relayRole), "admin.key"), "--state-dir", state(daemonRole)}
	if _, err := run(ctx, s.place(daemonRole), nil, b.culvert, append(login, caFile...)...); err != nil {
		return nil, err
	}
	expose, err := b.spawn(s.place(daemonRole), daemonRole, b.culvert, "expose", "bulk="+s.bulk.addr, "echo="+s.echoAddr,
		"--name", "bench", "--state-dir", state(daemonRole), "--json")
	if err != nil {
		return nil, err
	}
	in.add(expose)
	if _, err := awaitEvent(ctx, expose, func(e event) bool { return e.Event == "online" }); err != nil {
		return nil, err
	}
	code, err := run(ctx, s.place(daemonRole), nil, b.culvert, "pair", "--state-dir", state(daemonRole))
	if err != nil {
		return nil, err
	}
	s.turn(clientRole)
	pair := []string{"pair", strings.TrimSpace(code), "--relay", url, "--state-dir", state(clientRole)}
	if _, err := run(ctx, s.place(clientRole), nil, b.culvert, append(pair, caFile...)...); err != nil {
		return nil, err
	}
	in.connect = func(ctx context.Context) error { return c.forward(b, s, in, state(clientRole)) }
	return in, nil
}

// startRelay starts the relay. It returns its URL and the flags that make the others trust it.
func (c *culvertSystem) startRelay(ctx context.Context, b *world, s *site, in *instance, dir, state string) (url string, caFile []string, err error) {
	place := s.place(relayRole)
	listen, err := s.freeAddr(relayRole)
	if err != nil {
		return "", nil, err
	}
	front, err := s.front(listen)
	if err != nil {
		return "", nil, err
	}
	args := []string{"relay", "--listen", listen, "--state-dir", state, "--json"}
	scheme := "http"
	if c.tls {
		scheme = "https"
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		if err := writeCertificate(cert, key, place.ip); err != nil {
			return "", nil, err
		}
		args = append(args, "--tls-cert", cert, "--tls-key", key)
		caFile = []string{"--ca-file", cert}
	}
	url = scheme + "://" + front
	relay, err := b.spawn(place, relayRole, b.culvert, append(args, "--public-url", url)...)
	if err != nil {
		return "", nil, err
	}
	in.add(relay)
	_, err = awaitEvent(ctx, relay, func(e event) bool { return e.Event == "online" })
	return url, caFile, err
}

// forward starts the client.
func (c *culvertSystem) forward(b *world, s *site, in *instance, state string) error {
	bulk, err := s.freeAddr(clientRole)
	if err != nil {
		return err
	}
	echo, err := s.freeAddr(clientRole)
	if err != nil {
		return err
	}
	s.turn(clientRole)
	p, err := b.spawn(s.place(clientRole), clientRole, b.culvert, "forward", "bench", bulk+":bulk", echo+":echo", "--state-dir", state, "--json")
	if err != nil {
		return err
	}
	in.add(p)
	in.bulk, in.echo = bulk, echo
	return nil
}

// writeCertificate makes a certificate for ip that is its own authority.
func writeCertificate(certFile, keyFile, ip string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "culvert bench"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		IPAddresses: []net.IP{net.ParseIP(ip)},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(certFile, "CERTIFICATE", der, 0o644), writePEM(keyFile, "PRIVATE KEY", pk, 0o600))
}

func writePEM(file, kind string, der []byte, mode fs.FileMode) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}
