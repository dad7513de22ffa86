//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// labURL is how everybody calls the relay. The name exists nowhere: only a route can
// bring anybody there.
const labURL = "https://relay.test"

// lab is a relay, a daemon's machine and clients' machines, each part a process of the
// real binary with a route of its own to the relay, over TLS.
type lab struct {
	t     *testing.T
	bin   string
	dir   string
	tmp   string // for temporary files; its path is short enough for sockets
	addr  relayAddr
	relay *part

	daemonRoute, clientRoute *route
}

// newLab starts the relay and makes a daemon's machine known to it.
func newLab(t *testing.T, bin string) *lab {
	t.Helper()
	l := emptyLab(t, bin)
	l.startRelay()
	l.enrol("--state-dir", l.path("relay"))
	return l
}

// emptyLab has no relay yet.
func emptyLab(t *testing.T, bin string) *lab {
	t.Helper()
	l := &lab{t: t, bin: bin, dir: t.TempDir(), tmp: shortDir(t)}
	l.daemonRoute, l.clientRoute = newRoute(t, &l.addr), newRoute(t, &l.addr)
	l.certify()
	return l
}

// shortDir is a directory with a short path, for the test's time.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "culvert-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// enrol makes the daemon's machine known to the relay whose store the flags name.
func (l *lab) enrol(store ...string) {
	l.t.Helper()
	key := l.call(nil, append([]string{"relay", "key", "create", "--scope", "daemon,client"}, store...)...)
	l.write("api.key", key)
	l.call(l.via(l.daemonRoute), "login", labURL, "--state-dir", l.path("daemon"), "--key-file", l.path("api.key"), "--ca-file", l.path("ca.pem"))
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// environ is what every process has of the environment: nothing of the user's settings.
func (l *lab) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + l.tmp}
}

// via is the environment of a process that reaches the relay by a route.
func (l *lab) via(r *route) []string { return []string{"HTTPS_PROXY=" + r.url()} }

// call runs a command that ends by itself and returns its stdout.
func (l *lab) call(env []string, args ...string) string {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), l.bin, args...)
	cmd.Env = append(l.environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("culvert %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// startRelay starts the relay, or starts it again: on another port, which only the routes
// notice.
func (l *lab) startRelay() {
	l.t.Helper()
	l.relay = l.start("relay", nil, "relay", "--state-dir", l.path("relay"), "--listen", "127.0.0.1:0",
		"--public-url", labURL, "--tls-cert", l.path("cert.pem"), "--tls-key", l.path("key.pem"))
	l.addr.set(l.relay.next(0, patience, "online").Addr)
}

func (l *lab) killRelay() {
	l.addr.set("")
	l.relay.kill()
}

// expose starts the daemon.
func (l *lab) expose(targets ...string) *part {
	l.t.Helper()
	return l.start("daemon", l.via(l.daemonRoute), append([]string{"expose", "--state-dir", l.path("daemon"), "--name", "laptop"}, targets...)...)
}

// pair lets a machine in as a guest; the daemon must be running.
func (l *lab) pair(machine string, r *route) {
	l.t.Helper()
	code := strings.TrimSpace(l.call(l.via(l.daemonRoute), "pair", "--state-dir", l.path("daemon")))
	l.call(l.via(r), "pair", code, "--state-dir", l.path(machine), "--relay", labURL, "--ca-file", l.path("ca.pem"))
}

// forward starts a client with a forward of each target to any local port, and returns
// the ports' addresses too.
func (l *lab) forward(machine string, r *route, flags []string, targets ...string) (*part, map[string]string) {
	l.t.Helper()
	args := append([]string{"forward", "--state-dir", l.path(machine)}, flags...)
	args = append(args, "laptop")
	for _, t := range targets {
		args = append(args, "0:"+t)
	}
	p := l.start(machine, l.via(r), args...)
	addrs := map[string]string{}
	for _, t := range targets {
		addrs[t] = p.nextThat(0, patience, "ready for "+t, func(e told) bool { return e.Event == "ready" && e.Target == t }).Addr
	}
	return p, addrs
}

// certify makes cert.pem and key.pem for the relay, by the private CA in ca.pem.
func (l *lab) certify() {
	t := l.t
	t.Helper()
	issue := func(c, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) string {
		der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), byKey)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "relay"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"relay.test", "*.relay.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l.write("ca.pem", issue(ca, ca, caKey, caKey))
	l.write("cert.pem", issue(leaf, ca, key, caKey))
	l.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// serve runs a TCP server for the test's time: handle runs for each connection, in a
// goroutine of its own, and owns it but for its end.
func (l *lab) serve(handle func(*net.TCPConn)) (addr string) {
	l.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[*net.TCPConn]bool{} // guarded by mu
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conn := c.(*net.TCPConn)
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			wg.Go(func() {
				handle(conn)
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
				_ = conn.Close() // whatever handle has left of it
			})
		}
	})
	l.t.Cleanup(func() {
		_ = ln.Close() // ends the loop
		mu.Lock()
		for c := range open {
			_ = c.Close() // ends its handler
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// serveEcho runs a server that sends back what it gets.
func (l *lab) serveEcho() (addr string) {
	l.t.Helper()
	return l.serve(func(c *net.TCPConn) { _, _ = io.Copy(c, c) }) // until either side ends it
}

// dial opens a local connection that the test's end closes.
func (l *lab) dial(addr string) *net.TCPConn {
	l.t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}
