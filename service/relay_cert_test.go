package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// certTest is a TLS listener with the relay's settings, over files that the test changes.
type certTest struct {
	t         *testing.T
	cert, key string
	files     *certFiles
	config    *tls.Config
	log       strings.Builder

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func newCertTest(t *testing.T) *certTest {
	c := &certTest{t: t, cert: filepath.Join(t.TempDir(), "cert.pem"), key: filepath.Join(t.TempDir(), "key.pem"), now: time.Now()}
	c.write("first", c.now)
	var err error
	if c.files, err = newCertFiles(c.cert, c.key, slog.New(slog.NewTextHandler(&c.log, nil))); err != nil {
		t.Fatal(err)
	}
	c.files.now = func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
	c.config = serverTLS(c.files.get)
	return c
}

// make is a new certificate of that name and its key, in PEM.
func makeCert(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// put writes a file as of a time, so that the test does not depend on the clock's grain.
func (c *certTest) put(path string, content []byte, at time.Time) {
	c.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		c.t.Fatal(err)
	}
}

func (c *certTest) write(name string, at time.Time) {
	c.t.Helper()
	cert, key := makeCert(c.t, name)
	c.put(c.cert, cert, at)
	c.put(c.key, key, at)
}

// later lets time pass and returns what it is then.
func (c *certTest) later(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// shake is one handshake with the server.
func (c *certTest) shake(client *tls.Config) (tls.ConnectionState, error) {
	c.t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		server := tls.Server(b, c.config)
		if server.Handshake() == nil {
			_, _ = io.WriteString(server, "!") // TLS 1.3: the client has all it needs then
		}
		_ = b.Close()
	}()
	conn := tls.Client(a, client)
	err := conn.Handshake()
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	state := conn.ConnectionState()
	_ = a.Close()
	<-done
	return state, err
}

func (c *certTest) want(name string) {
	c.t.Helper()
	// Not verified: each is signed by itself, and its name is what is looked at.
	state, err := c.shake(&tls.Config{InsecureSkipVerify: true})
	if err != nil {
		c.t.Fatal(err)
	}
	if got := state.PeerCertificates[0].Subject.CommonName; got != name {
		c.t.Errorf("the certificate is %q, want %q", got, name)
	}
}

// A certificate that is renewed serves without a restart; one that is half written, broken
// or gone leaves the old one in place.
func TestCertificateReload(t *testing.T) {
	c := newCertTest(t)
	c.want("first")
	c.write("second", c.later(time.Second))
	c.want("first") // it is not looked at with each handshake
	c.later(certCheck)
	c.want("second")

	cert, key := makeCert(t, "third")
	c.put(c.cert, cert, c.later(certCheck))
	c.want("second") // the key is still the old one's
	c.later(certCheck)
	c.want("second")
	c.put(c.key, key, c.later(certCheck))
	c.want("third")
	if n := strings.Count(c.log.String(), "cannot read"); n != 1 {
		t.Errorf("the trouble was logged %d times:\n%s", n, &c.log)
	}

	if err := os.Remove(c.key); err != nil {
		t.Fatal(err)
	}
	c.later(certCheck)
	c.want("third")
	c.write("fourth", c.later(certCheck))
	c.want("fourth")
}

func TestServerTLSVersions(t *testing.T) {
	c := newCertTest(t)
	for _, tc := range []struct{ most, want uint16 }{
		{tls.VersionTLS13, tls.VersionTLS13},
		{tls.VersionTLS12, tls.VersionTLS12},
		{tls.VersionTLS11, 0},
	} {
		state, err := c.shake(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tc.most, NextProtos: []string{"h2", "http/1.1"}})
		switch {
		case tc.want == 0 && err == nil:
			t.Errorf("a client of at most %s was let in", tls.VersionName(tc.most))
		case tc.want != 0 && (err != nil || state.Version != tc.want || state.NegotiatedProtocol != "http/1.1"):
			t.Errorf("a client of at most %s: %v, %s, %q", tls.VersionName(tc.most), err, tls.VersionName(state.Version), state.NegotiatedProtocol)
		}
	}
}
