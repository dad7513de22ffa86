package service

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// certCheck is how often, at most, the certificate's files are looked at: handshakes come
// in thousands, and nobody waits for a renewal.
const certCheck = 2 * time.Second

// certFiles is a certificate in two files, which are read anew when they change: what
// renews certificates need not know of us. While the new ones are unreadable or do not
// belong together, as between the writing of the one and of the other, the old one serves.
type certFiles struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu      sync.Mutex // guards what follows; held over reading files, for which all wait
	loaded  *tls.Certificate
	seen    [2]fileMark // of what was read or tried last
	checked time.Time
	failed  string // why the last look was in vain, as it was logged
}

// fileMark tells one state of a file from another.
type fileMark struct {
	changed time.Time
	size    int64
}

func newCertFiles(cert, key string, log *slog.Logger) (*certFiles, error) {
	c := &certFiles{cert: cert, key: key, log: log, now: time.Now}
	marks, err := c.marks()
	if err != nil {
		return nil, err
	}
	if err := c.load(marks); err != nil {
		return nil, err
	}
	c.checked = c.now()
	return c, nil
}

// get is a tls.Config's GetCertificate.
func (c *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certCheck {
		c.checked = now
		c.refresh()
	}
	return c.loaded, nil
}

// refresh reads the files if they are not those that were read. The caller has mu.
func (c *certFiles) refresh() {
	marks, err := c.marks()
	if err == nil && marks == c.seen {
		c.failed = ""
		return
	}
	if err == nil {
		err = c.load(marks)
	}
	if err != nil {
		if text := err.Error(); text != c.failed { // once, not with each look
			c.failed = text
			c.log.Warn("cannot read the changed certificate, going on with the old one", "err", err)
		}
		return
	}
	c.failed = ""
	c.log.Info("certificate read anew", "valid_until", c.loaded.Leaf.NotAfter)
}

// load reads the files; marks are of before, so that what changes meanwhile is seen next
// time.
func (c *certFiles) load(marks [2]fileMark) error {
	cert, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.loaded, c.seen = &cert, marks
	return nil
}

func (c *certFiles) marks() (marks [2]fileMark, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path) // of what a link leads to
		if err != nil {
			return marks, fmt.Errorf("load certificate: %w", err)
		}
		marks[i] = fileMark{info.ModTime(), info.Size()}
	}
	return marks, nil
}

// relayTLS loads the certificate. Without one, only loopback may be served, or a proxy in
// front must do TLS.
func relayTLS(o RelayOptions) (*tls.Config, error) {
	if err := checkACME(o); err != nil || len(o.Domains) > 0 {
		return nil, err // newACME makes it, for the listener
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return nil, errorf(CodeUsage, "tls", "give both --tls-cert and --tls-key", "only one of certificate and key was given")
	}
	if o.TLSCert != "" {
		files, err := newCertFiles(o.TLSCert, o.TLSKey, logger(o.Logger))
		if err != nil {
			return nil, errorf(CodeConfig, "tls", "check that both files are PEM and belong together", "%w", err)
		}
		return serverTLS(files.get), nil
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, errorf(CodeUsage, "listen", "write --listen as HOST:PORT, such as 127.0.0.1:8443 or :8443", "read --listen %q: %w", o.Listen, err)
	}
	if !o.BehindProxy && !isLoopbackHost(host) {
		return nil, errorf(CodeUsage, "tls",
			"give --domain, or --tls-cert and --tls-key, or --behind-proxy when a proxy in front does TLS, or --listen 127.0.0.1:8443",
			"refusing to serve %s without TLS", o.Listen)
	}
	return nil, nil
}

// serverTLS prefers TLS 1.3, as the library does, and accepts 1.2. WebSockets upgrade
// HTTP/1.1 connections.
func serverTLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}
