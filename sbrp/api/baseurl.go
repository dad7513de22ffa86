package api

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// CheckBaseURL says whether a control plane can be called at url: scheme and host,
// perhaps a port, nothing else. Plain http is for loopback hosts only, unless
// allowPlain. The error never repeats a user part, which may hold a password.
func CheckBaseURL(url string, allowPlain bool) error {
	u, err := parseBaseURL(url)
	if err != nil {
		return err
	}
	if u.Scheme == "http" && !allowPlain && !loopback(u.Hostname()) {
		return fmt.Errorf("check control plane URL: %s is not encrypted; write https://%s", u, u.Host)
	}
	return nil
}

// Origin gives a base URL one form: scheme://host[:port] in lower case, without
// the scheme's own port, a slash at the end or an IPv6 zone. It is the audience of
// device tokens; both sides compare it byte by byte.
func Origin(url string) (string, error) {
	u, err := parseBaseURL(url)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func parseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil { // its text holds the URL, user part and all
		return nil, errors.New("check control plane URL: not a URL; write it as https://relay.example.org")
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "https" && scheme != "http" || u.Host == "" || u.Hostname() == "" {
		return nil, errors.New("check control plane URL: write it as https://relay.example.org")
	}
	if u.User != nil {
		return nil, errors.New("check control plane URL: it must not hold a user or password")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("check control plane URL: it ends after the host and port; leave path and query out")
	}
	host, _, zoned := strings.Cut(strings.ToLower(u.Hostname()), "%")
	if !isHost(host) || zoned && !strings.Contains(host, ":") { // only an IPv6 address has a zone
		return nil, errors.New("check control plane URL: the host must be an address, or a name of ASCII letters, digits, - . and _")
	}
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, errors.New("check control plane URL: the port must be 1 to 65535")
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	switch {
	case port != "":
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: scheme, Host: host}, nil
}

// isHost keeps out what a URL may carry escaped, and a name that has two forms (an
// international one must be written as xn--…).
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '.' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
