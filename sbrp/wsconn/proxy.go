package wsconn

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// connectTCP returns a connection on which the relay answers, directly or through the proxy that options.Proxy names.
func (rt *roundTripper) connectTCP(ctx context.Context) (net.Conn, error) {
	var via *url.URL
	if rt.options.Proxy != nil {
		var err error
		// The function decides by the URL; the request it gets holds neither token nor query.
		u := *rt.target.url
		u.RawQuery = ""
		via, err = rt.options.Proxy(&http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: http.Header{}})
		if err != nil {
			return nil, &DialError{Hop: HopProxy, Address: rt.target.host, Err: fmt.Errorf("choose proxy: %w", err)}
		}
	}
	if via == nil {
		conn, err := rt.dial(ctx, "tcp", rt.target.host)
		if err != nil {
			return nil, &DialError{Hop: hopOf(err), Address: rt.target.host, Err: cause(ctx, err)}
		}
		return newSocket(conn), nil
	}
	conn, err := rt.dialProxy(ctx, via)
	if err != nil {
		de, ok := errors.AsType[*DialError](err)
		if !ok {
			de = &DialError{Err: err}
		}
		de.Hop, de.Address = HopProxy, via.Host
		return nil, de
	}
	return conn, nil
}

func (rt *roundTripper) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if rt.options.NetDial != nil {
		return rt.options.NetDial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func hopOf(err error) Hop {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return HopDNS
	}
	return HopTCP
}

// proxyPorts are the ports of proxy URLs that name none.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// dialProxy makes a tunnel to the relay. The connection to an HTTP proxy asks for a tunnel (CONNECT) also where the relay speaks no
// TLS, as RFC 6455, section 4.1 says: proxies that take a WebSocket request for an ordinary one break it.
func (rt *roundTripper) dialProxy(ctx context.Context, via *url.URL) (net.Conn, error) {
	port := via.Port()
	if port == "" {
		port = proxyPorts[via.Scheme]
	}
	address := net.JoinHostPort(via.Hostname(), port)
	switch via.Scheme {
	case "http", "https":
		conn, err := rt.dial(ctx, "tcp", address)
		if err != nil {
			return nil, cause(ctx, err)
		}
		var c net.Conn = newSocket(conn)
		if via.Scheme == "https" {
			if c, err = startTLS(ctx, c, rt.options.TLS, via.Hostname()); err != nil {
				return nil, err
			}
		}
		return rt.tunnel(ctx, c, via)
	case "socks5", "socks5h":
		return rt.dialSOCKS(ctx, address, via)
	default:
		return nil, fmt.Errorf("proxy scheme %q: http, https, socks5 and socks5h are known", cut(via.Scheme))
	}
}

// tunnel asks an HTTP proxy for a tunnel on conn.
func (rt *roundTripper) tunnel(ctx context.Context, conn net.Conn, via *url.URL) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: rt.target.host}, Host: rt.target.host, Header: http.Header{}}
	if rt.options.UserAgent != "" {
		req.Header.Set("User-Agent", rt.options.UserAgent)
	}
	if via.User != nil {
		password, _ := via.User.Password()
		req.Header.Set("Proxy-Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)))
	}
	resp, br, err := exchange(ctx, conn, req)
	if err != nil {
		_ = conn.Close() // the error of the request counts
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		_ = conn.Close() // the status counts
		de := &DialError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header), Err: errors.New("the proxy refused the tunnel")}
		if resp.StatusCode == http.StatusProxyAuthRequired {
			de.Err = errors.New("the proxy wants a user and a password: give it as http://USER:PASSWORD@HOST:PORT")
		}
		return nil, de
	}
	if br.Buffered() > 0 {
		// Nobody has spoken to the relay yet, so these bytes are not the relay's.
		_ = conn.Close()
		return nil, errors.New("the proxy sent bytes of its own into the tunnel")
	}
	return conn, nil
}

func (rt *roundTripper) dialSOCKS(ctx context.Context, address string, via *url.URL) (net.Conn, error) {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", address, auth, forwarder{rt})
	if err != nil {
		return nil, fmt.Errorf("set up SOCKS: %w", err)
	}
	cd, ok := d.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("set up SOCKS: no dialer with a context")
	}
	conn, err := cd.DialContext(ctx, "tcp", rt.target.host)
	if err != nil {
		return nil, cause(ctx, err)
	}
	return newSocket(conn), nil
}

// forwarder lets the SOCKS client dial as we do.
type forwarder struct{ rt *roundTripper }

// Dial implements proxy.Dialer; the SOCKS client prefers DialContext.
func (f forwarder) Dial(network, address string) (net.Conn, error) {
	return f.rt.dial(noDone, network, address)
}

// DialContext implements proxy.ContextDialer.
func (f forwarder) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f.rt.dial(ctx, network, address)
}
