package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// authority is a real ACME server, pebble, to which every name is at 127.0.0.1.
type authority struct {
	directory string         // its URL
	caFile    string         // by which its server is believed
	roots     *x509.CertPool // of what it issues
	close     func()
}

// startAuthority starts one that proves domains at a port, as others do at 443.
func startAuthority(t *testing.T, tlsPort int) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "the only one"}})
	prover := va.New(quiet, tlsPort, tlsPort, false, startDNS(t), store)
	front := wfe.New(quiet, store, prover, issuer, []string{"pebble.test"}, false, false, 1, 1)
	srv := httptest.NewTLSServer(front.Handler())
	a := &authority{
		directory: srv.URL + wfe.DirectoryPath, caFile: filepath.Join(t.TempDir(), "acme-ca.pem"),
		roots: x509.NewCertPool(), close: srv.Close,
	}
	t.Cleanup(srv.Close)
	if err := os.WriteFile(a.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(issuer.GetRootCert(0).DER)
	if err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(root)
	return a
}

// startDNS is a name server that says 127.0.0.1.
func startDNS(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // which pebble asks by
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
				A:   net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(m) // who asked asks again
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ActivateAndServe() // until Shutdown
	}()
	t.Cleanup(func() {
		_ = srv.Shutdown() // it may not have begun
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// A relay gets a certificate from a real ACME server before it says that it is ready, by
// nothing but its own listener, and has it when it starts again without that server.
func TestACME(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // for a port that the authority can be told before
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	_ = ln.Close() // the relay takes it
	a := startAuthority(t, addr.Port)
	w := &world{t: t, dir: t.TempDir()}
	for range 2 {
		ready := make(chan RelayInfo, 1)
		stop := w.background("relay", func(ctx context.Context) error {
			return RunRelay(ctx, RelayOptions{
				Common: w.common("relay"), Listen: addr.String(), Domains: []string{"relay.test"},
				PublicURL: "https://relay.test:" + strconv.Itoa(addr.Port),
				ACMECA:    a.directory, ACMECAFile: a.caFile, Ready: func(i RelayInfo) { ready <- i },
			}, func(e Event) {
				if e.Event == EventError {
					t.Errorf("%s: %s", e.Code, e.Message)
				}
			})
		})
		receive(t, "relay", ready)
		for _, name := range []string{"relay.test", ""} { // a client that names nobody gets it too
			c, err := tls.Dial("tcp", addr.String(), &tls.Config{ServerName: name, InsecureSkipVerify: name == "", RootCAs: a.roots})
			if err != nil {
				t.Fatal(err)
			}
			state := c.ConnectionState()
			if err := state.PeerCertificates[0].VerifyHostname("relay.test"); err != nil || state.Version != tls.VersionTLS13 {
				t.Errorf("%v, %s", err, tls.VersionName(state.Version))
			}
			_ = c.Close()
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		a.close()
	}
}

func TestCheckACME(t *testing.T) {
	with := func(change func(*RelayOptions)) RelayOptions {
		o := RelayOptions{Listen: ":443", Domains: []string{"relay.example.org"}}
		change(&o)
		return o
	}
	for _, tc := range []struct {
		o    RelayOptions
		code Code
	}{
		{with(func(*RelayOptions) {}), CodeOK},
		{with(func(o *RelayOptions) { o.TLSCert, o.TLSKey = "c", "k" }), CodeUsage},
		{with(func(o *RelayOptions) { o.BehindProxy = true }), CodeUsage},
		{with(func(o *RelayOptions) { o.DB = "postgres:///culvert" }), CodeUsage},
		{with(func(o *RelayOptions) { o.Domains = []string{"10.0.0.1"} }), CodeUsage},
		{with(func(o *RelayOptions) { o.Domains = []string{"*.example.org"} }), CodeUsage},
		{with(func(o *RelayOptions) { o.Domains = []string{""} }), CodeUsage},
		{RelayOptions{Listen: "127.0.0.1:0", ACMECA: "https://ca.example.org"}, CodeUsage},
	} {
		if _, err := relayTLS(tc.o); CodeOf(err) != tc.code {
			t.Errorf("%+v: %v, want code %d", tc.o, err, tc.code)
		}
	}
	if url, err := relayPublicURL(with(func(*RelayOptions) {}), nil, true); err != nil || url != "https://relay.example.org" {
		t.Errorf("public URL %q, %v", url, err)
	}
}
