package service

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/wsconn"
)

// dialTimeout bounds one attempt to reach relay or control plane: DNS, TCP, proxy, TLS and
// the HTTP answer together. A network that drops silently is given up on in time for the
// next attempt.
const dialTimeout = 15 * time.Second

// transport is how this process reaches one control plane and its relays: the same roots,
// proxy and timeouts for HTTP and for WebSockets.
type transport struct {
	tls  *tls.Config
	http *http.Client
	dial wsconn.DialOptions
}

// newTransport reads the private CA, if there is one. Proxies come from HTTP_PROXY,
// HTTPS_PROXY and NO_PROXY, credentials included.
func newTransport(caFile, program string) (*transport, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, errorf(CodeConfig, "ca_file", "give --ca-file a readable PEM file", "read CA file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errorf(CodeConfig, "ca_file", "give --ca-file a PEM file with a certificate", "read CA file %s: it holds no PEM certificate", caFile)
		}
		cfg.RootCAs = roots
	}
	rt := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       cfg.Clone(),
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: dialTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          4,
		// A dead path must not be reused after a roam: idle connections live shortly.
		IdleConnTimeout: 10 * time.Second,
	}
	return &transport{
		tls:  cfg,
		http: &http.Client{Transport: rt, Timeout: 2 * dialTimeout},
		dial: wsconn.DialOptions{TLS: cfg, Proxy: http.ProxyFromEnvironment, UserAgent: program, Timeout: dialTimeout},
	}, nil
}

// forget drops kept HTTP connections: the network has changed.
func (t *transport) forget() { t.http.CloseIdleConnections() }

// checkRelayURL refuses a relay URL that would carry tokens in the clear although the
// control plane itself was reached over TLS.
func checkRelayURL(controlURL, relayURL string) error {
	u, err := url.Parse(relayURL)
	if err != nil || u.Host == "" {
		return errorf(CodeRelay, "relay_url", "ask the operator of the control plane", "the control plane names no usable relay URL")
	}
	switch u.Scheme {
	case "wss", "https":
		return nil
	}
	base := *u
	if base.Scheme == "ws" {
		base.Scheme = "http"
	}
	if err := api.CheckBaseURL(base.Scheme+"://"+base.Host, false); err != nil {
		return errorf(CodeRelay, "relay_url", "ask the operator of the control plane for a wss:// relay", "the control plane at %s names a relay without TLS", controlURL)
	}
	return nil
}
