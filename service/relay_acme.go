package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// acmeDir is the directory in the state directory that holds the ACME account and the
// certificates.
const acmeDir = "acme"

// acme gets the certificates of the relay's domains and renews them. The authority proves
// the domains by a TLS connection to port 443 (tls-alpn-01), which the relay's own listener
// answers; no other port is needed.
type acme struct {
	config  *certmagic.Config
	cache   *certmagic.Cache
	domains []string
	log     *slog.Logger
	sink    Sink // set by obtain, before anything can happen
}

// newACME prepares for the domains; nothing is asked for before obtain. ln is the listener
// behind port 443 of the domains. The caller calls stop.
func newACME(o RelayOptions, ln net.Addr) (*acme, error) {
	roots, err := acmeRoots(o.ACMECAFile)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(ln.String())
	if err != nil {
		return nil, errorf(CodeFailure, "listen", "", "read listener address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, errorf(CodeFailure, "listen", "", "read listener address: %w", err)
	}
	a := &acme{domains: o.Domains, log: logger(o.Logger)}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           zap.NewNop(),
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage:           &certmagic.FileStorage{Path: filepath.Join(o.StateDir, acmeDir)},
		DefaultServerName: o.Domains[0],
		Logger:            zap.NewNop(), // note tells what matters
		OnEvent:           a.note,
	})
	a.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA: o.ACMECA, TrustedRoots: roots, Agreed: true, DisableHTTPChallenge: true,
		// Whoever listens there answers for the domains: that is us.
		ListenHost: host, AltTLSALPNPort: number,
		Logger: zap.NewNop(),
	})}
	return a, nil
}

// acmeRoots are the authorities that the certificate authority's own server is believed
// by; nil: the system's.
func acmeRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, errorf(CodeConfig, "acme", "check --acme-ca-file", "read certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errorf(CodeConfig, "acme", "check --acme-ca-file", "%s has no certificate in PEM", file)
	}
	return roots, nil
}

// note tells what happens to certificates.
func (a *acme) note(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		a.log.Info("certificate obtained", "domain", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		a.log.Error("no certificate", "domain", data["identifier"], "renewal", data["renewal"], "err", data["error"])
		a.failed(data["identifier"], data["error"])
	}
	return nil
}

// tls is what the listener is configured with.
func (a *acme) tls() *tls.Config {
	c := serverTLS(a.config.GetCertificate)
	c.NextProtos = append(c.NextProtos, "acme-tls/1") // of the authority, when it proves a domain
	return c
}

// obtain blocks until there is a certificate for each domain, from an earlier run or from
// the authority, which tries our listener meanwhile; or until ctx ends: then it returns
// false. From then on they are renewed until stop. Failures are told, and tried again:
// after a minute at first, every six hours in the end, so that the authority's limits hold.
func (a *acme) obtain(ctx context.Context, sink Sink) bool {
	a.sink = sink
	for _, domain := range a.domains {
		if err := a.have(ctx, domain); err != nil {
			if ctx.Err() == nil {
				a.failed(domain, err) // it has given up, after a month; the next start tries again
			}
			return false
		}
	}
	return true
}

// have gets one domain's certificate, or loads the one there is; one that has expired,
// while the relay did not run, is renewed first. The library's "Async" means that it asks
// nobody on a terminal and goes on trying; it does block.
func (a *acme) have(ctx context.Context, domain string) error {
	if err := a.config.ObtainCertAsync(ctx, domain); err != nil {
		return err
	}
	cert, err := a.config.CacheManagedCertificate(ctx, domain)
	if err != nil || !cert.Expired() {
		return err
	}
	if err := a.config.RenewCertAsync(ctx, domain, false); err != nil {
		return err
	}
	a.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: domain}})
	_, err = a.config.CacheManagedCertificate(ctx, domain)
	return err
}

// failed tells that there is no certificate, or no new one.
func (a *acme) failed(domain, err any) {
	a.sink(Event{
		Time: time.Now(), Event: EventError, Code: "acme", Message: fmt.Sprintf("no certificate for %v: %v", domain, err),
		Mend: "the domain must lead to this machine, and its port 443 to --listen",
	})
}

// stop ends the renewal.
func (a *acme) stop() {
	if a != nil {
		a.cache.Stop()
	}
}

// checkACME finds options that do not go together.
func checkACME(o RelayOptions) error {
	var err error
	switch {
	case len(o.Domains) == 0 && (o.ACMECA != "" || o.ACMECAFile != ""):
		err = errors.New("--acme-ca and --acme-ca-file are for --domain")
	case len(o.Domains) == 0:
	case o.TLSCert != "" || o.TLSKey != "":
		err = errors.New("--domain gets a certificate by itself, --tls-cert has one already")
	case o.BehindProxy:
		err = errors.New("--domain is for a relay that does TLS itself, --behind-proxy for one that does not")
	case isPostgres(o.DB):
		err = errors.New("with several nodes the authority may reach another one than asked")
	}
	if err != nil {
		return errorf(CodeUsage, "acme", "give --domain, or --tls-cert and --tls-key, or --behind-proxy; nodes need one of the latter", "%w", err)
	}
	for _, domain := range o.Domains {
		if !certmagic.SubjectQualifiesForCert(domain) || net.ParseIP(domain) != nil || domain[0] == '*' {
			return errorf(CodeUsage, "acme", "write it as relay.example.org", "--domain %q is not the name of a host", domain)
		}
	}
	return nil
}
