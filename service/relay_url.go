package service

import (
	"net"
	"net/url"
	"strings"
)

// relayPublicURL is what daemons and clients are told. Only a loopback listener can be
// named without being told how others see it.
func relayPublicURL(o RelayOptions, addr net.Addr, withTLS bool) (string, error) {
	if o.PublicURL != "" {
		return checkBaseURL("public_url", "--public-url", o.PublicURL)
	}
	if len(o.Domains) > 0 {
		return "https://" + o.Domains[0], nil // the authority wants port 443
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "", errorf(CodeFailure, "listen", "", "read listener address: %w", err)
	}
	if !isLoopbackHost(host) {
		return "", errorf(CodeUsage, "public_url", "give --public-url https://relay.example.org, as clients will reach it", "listening on %s, but under which URL will clients see it?", addr)
	}
	scheme := "http"
	if withTLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// checkBaseURL checks a URL that others are told and returns it without a path.
func checkBaseURL(name, flag, text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", errorf(CodeUsage, name, "write it as https://relay.example.org", "%s %q is not a base URL", flag, text)
	}
	if u.Scheme == "http" && !isLoopbackHost(u.Hostname()) {
		return "", errorf(CodeUsage, name, "use https://", "%s %q is without TLS", flag, text)
	}
	return u.Scheme + "://" + u.Host, nil
}

// relayURL is the WebSocket URL of the relay behind a public URL.
func relayURL(publicURL string) string {
	return "ws" + strings.TrimPrefix(publicURL, "http") + "/relay"
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
