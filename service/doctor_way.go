package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"culvert/sbrp/api"
)

// way makes one request, exactly as every other command does, and reports how far it came:
// DNS, proxy, TCP and TLS. The answer does not matter here.
func (d *doctor) way(ctx context.Context, prefix, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return d.tell(Hop{Name: prefix + HopDNS}, errorf(CodeConfig, "url", "culvert login with the right URL", "%q is not a URL", rawURL))
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	t := &trace{}
	rt := d.client.net.http.Transport.(*http.Transport).Clone() // newTransport made it
	defer rt.CloseIdleConnections()
	rt.OnProxyConnectResponse = t.proxyAnswered
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, t.hooks()), http.MethodGet, u.Scheme+"://"+u.Host+"/healthz", nil)
	if err != nil {
		return d.tell(Hop{Name: prefix + HopDNS}, err)
	}
	via, err := rt.Proxy(req)
	if err != nil {
		return d.tell(Hop{Name: prefix + HopProxy}, errorf(CodeTLS, "proxy", "write HTTPS_PROXY as http://HOST:PORT", "choose proxy: %w", err))
	}
	began := time.Now()
	resp, err := rt.RoundTrip(req)
	took := time.Since(began)
	if err == nil {
		_ = resp.Body.Close() // what came over the way is for the next hop to judge
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return d.tellWay(prefix, u, via, t, err, took)
}

// tellWay reports the hops of a traced request, up to the one that failed.
func (d *doctor) tellWay(prefix string, u, via *url.URL, t *trace, err error, took time.Duration) error {
	first := u
	if via != nil {
		first = via
	}
	if t.dnsErr != nil {
		e := &Error{Code: CodeRelay, Name: "dns", Err: fmt.Errorf("look up %s: %w", first.Hostname(), t.dnsErr), Mend: "check the name in the URL, and this machine's DNS"}
		if via != nil {
			e.Code, e.Mend = CodeTLS, "check the name of the proxy in HTTPS_PROXY, and this machine's DNS"
		}
		return d.tell(Hop{Name: prefix + HopDNS, Took: t.dns}, e)
	}
	detail := first.Hostname() + " is an address"
	if len(t.addrs) > 0 {
		detail = first.Hostname() + " is " + strings.Join(t.addrs, ", ")
	}
	_ = d.tell(Hop{Name: prefix + HopDNS, Detail: detail, Took: t.dns}, nil)
	if err := d.tellProxy(prefix, via, t, err); err != nil {
		return err
	}
	if via == nil && !t.connected {
		e := classify(cmp.Or(t.tcpErr, err))
		return d.tell(Hop{Name: prefix + HopTCP, Took: cmp.Or(t.tcp, took)}, &Error{
			Code: CodeRelay, Name: e.Name,
			Err: fmt.Errorf("connect to %s: %w", hostOf(u.String()), e.Err), Mend: "check that the relay runs, the port in the URL, and firewalls between here and there",
		})
	}
	detail = "connected to " + t.peer
	if via != nil {
		detail = "through the proxy"
	}
	_ = d.tell(Hop{Name: prefix + HopTCP, Detail: detail, Took: t.tcp}, nil)
	return d.tellTLS(prefix, u, t, err)
}

// tellProxy reports the proxy, or that there is none.
func (d *doctor) tellProxy(prefix string, via *url.URL, t *trace, err error) error {
	if via == nil {
		return d.tell(Hop{Name: prefix + HopProxy, Detail: "none for this URL"}, nil)
	}
	shown := via.Redacted()
	h := Hop{Name: prefix + HopProxy, Detail: shown, Took: t.proxy}
	switch {
	case t.proxyStatus == http.StatusProxyAuthRequired:
		return d.tell(h, errorf(CodeTLS, "proxy", "give user and password in HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT", "proxy %s: it wants a user and a password (407)", shown))
	case t.proxyStatus != 0 && t.proxyStatus != http.StatusOK:
		return d.tell(h, errorf(CodeTLS, "proxy", "ask who runs the proxy to allow it, or put the host into NO_PROXY", "proxy %s: it refuses the connection (%d)", shown, t.proxyStatus))
	case !t.connected:
		return d.tell(h, errorf(CodeTLS, "proxy", "check HTTPS_PROXY, and NO_PROXY for hosts that need none", "proxy %s: %w", shown, cmp.Or(t.tcpErr, err)))
	case err != nil && t.proxyStatus == 0 && !t.tlsStarted && strings.HasPrefix(via.Scheme, "http"):
		return d.tell(h, errorf(CodeTLS, "proxy", "check that HTTPS_PROXY names an HTTP proxy", "proxy %s: %w", shown, err))
	}
	return d.tell(h, nil)
}

// tellTLS reports the handshake, or that there is none to do.
func (d *doctor) tellTLS(prefix string, u *url.URL, t *trace, err error) error {
	h := Hop{Name: prefix + HopTLS, Took: t.tls}
	if u.Scheme == "http" {
		h.Detail = "none: loopback"
		return d.tell(h, nil)
	}
	if t.tlsErr != nil {
		return d.tell(h, d.explainTLS(u, t.tlsErr))
	}
	if !t.tlsDone {
		return d.tell(h, &Error{Code: CodeTLS, Name: "tls", Err: fmt.Errorf("TLS handshake with %s: %w", u.Host, err), Mend: "check that nothing between here and there interferes with TLS"})
	}
	h.Detail = tls.VersionName(t.state.Version)
	if len(t.state.PeerCertificates) > 0 {
		cert := t.state.PeerCertificates[0]
		h.Detail += fmt.Sprintf("; certificate by %s until %s", cmp.Or(cert.Issuer.CommonName, cert.Issuer.String()), cert.NotAfter.Format(time.DateOnly))
	}
	return d.tell(h, nil)
}

// explainTLS says what is wrong with a certificate, and who can mend it.
func (d *doctor) explainTLS(u *url.URL, err error) *Error {
	e := &Error{Code: CodeTLS, Name: "tls", Err: fmt.Errorf("TLS handshake with %s: %w", u.Host, err)}
	if ce, ok := errors.AsType[x509.CertificateInvalidError](err); ok && ce.Reason == x509.Expired {
		e.Name = "certificate_expired"
		e.Mend = fmt.Sprintf("the certificate is valid from %s to %s, and this machine's clock says %s: renew it at the relay, or set the clock",
			ce.Cert.NotBefore.Format(time.DateOnly), ce.Cert.NotAfter.Format(time.DateOnly), d.now().Format(time.DateOnly))
		return e
	}
	if he, ok := errors.AsType[x509.HostnameError](err); ok {
		e.Name = "certificate_name"
		names := he.Certificate.DNSNames
		for _, ip := range he.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		e.Mend = fmt.Sprintf("the certificate is for %s: log in with a URL that has such a name", cmp.Or(strings.Join(names, ", "), "no host at all"))
		return e
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		e.Name = "certificate_authority"
		e.Mend = "for a private CA: culvert login --ca-file; if the CA is none of yours, something between here and there reads along"
		return e
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		e.Mend = "this port speaks no TLS: check the port in the URL"
		return e
	}
	e.Mend = "check that nothing between here and there interferes with TLS"
	return e
}

// checkHealth asks whether what answers is a control plane at all, and what time it is
// there.
func (d *doctor) checkHealth(ctx context.Context) error {
	base := strings.TrimRight(d.client.known.ControlURL, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
	if err != nil {
		return err
	}
	began := d.now()
	resp, err := d.client.net.http.Transport.RoundTrip(req) // redirects are an answer here
	if err != nil {
		return fmt.Errorf("ask control plane: %w", err)
	}
	defer resp.Body.Close()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // none: it is not ours either
	var health struct{ Status string }
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // what has come must do
	isOurs := media == "application/json" && json.Unmarshal(b, &health) == nil
	switch {
	case !isOurs && (media == "text/html" || resp.StatusCode/100 == 3 || resp.StatusCode == http.StatusNetworkAuthenticationRequired):
		return errorf(CodeRelay, "captive_portal", "open any http:// page in a browser and log in to this network; or check the URL",
			"a web page answers at %s, and no control plane (%d)", base, resp.StatusCode)
	case !isOurs || resp.StatusCode == http.StatusNotFound:
		return errorf(CodeRelay, api.CodeUnexpectedResponse, "check the URL, and what stands between here and there", "what answers at %s is no culvert control plane (%d)", base, resp.StatusCode)
	}
	return d.checkClock(began, resp.Header.Get("Date"))
}

// checkClock compares this machine's clock with the control plane's.
func (d *doctor) checkClock(began time.Time, date string) error {
	there, err := http.ParseTime(date)
	if err != nil {
		return nil // it does not say: the token that follows will tell
	}
	now := d.now()
	off := time.Duration(0)
	switch {
	case there.Before(began.Add(-api.ClockSkew)):
		off = began.Sub(there)
	case there.After(now.Add(api.ClockSkew)):
		off = now.Sub(there)
	default:
		return nil
	}
	word := "ahead of"
	if off < 0 {
		off, word = -off, "behind"
	}
	return errorf(CodeLogin, api.CodeClockSkew, "set this machine's clock", "this machine's clock is %s %s the control plane's", off.Round(time.Second), word)
}

// trace is what one request went through. Its hooks run in the transport's goroutines.
type trace struct {
	mu sync.Mutex // guards what follows

	dnsAt, tcpAt, tlsAt time.Time
	dns, tcp, tls       time.Duration
	proxy               time.Duration

	addrs       []string
	dnsErr      error
	tcpErr      error
	connected   bool
	peer        string
	proxyStatus int
	tlsStarted  bool
	tlsDone     bool
	tlsErr      error
	state       tls.ConnectionState
}

func (t *trace) hooks() *httptrace.ClientTrace {
	locked := func(f func()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { locked(func() { t.dnsAt = time.Now() }) },
		DNSDone: func(i httptrace.DNSDoneInfo) {
			locked(func() {
				t.dns, t.dnsErr = time.Since(t.dnsAt), i.Err
				for _, a := range i.Addrs {
					t.addrs = append(t.addrs, a.String())
				}
			})
		},
		ConnectStart: func(_, _ string) {
			locked(func() {
				if t.tcpAt.IsZero() {
					t.tcpAt = time.Now()
				}
			})
		},
		ConnectDone: func(_, addr string, err error) {
			locked(func() {
				if t.connected {
					return // a second address that was tried meanwhile
				}
				t.tcp, t.tcpErr, t.connected, t.peer = time.Since(t.tcpAt), err, err == nil, addr
			})
		},
		TLSHandshakeStart: func() { locked(func() { t.tlsAt, t.tlsStarted = time.Now(), true }) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			locked(func() { t.tls, t.tlsErr, t.tlsDone, t.state = time.Since(t.tlsAt), err, true, s })
		},
	}
}

// proxyAnswered is called with a proxy's answer to CONNECT.
func (t *trace) proxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.proxyStatus = resp.StatusCode
	t.proxy = time.Since(t.tcpAt)
	return nil
}
