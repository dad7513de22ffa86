package service

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// nearby is what is taken for a proxy when none is named: this machine and private
// networks, from which a client of the public Internet does not come.
var nearby = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"),
}

// proxies are the machines whose X-Forwarded-For is believed: each adds the address that it
// was reached from at the end, and what stands before is hearsay.
type proxies struct {
	trusted []netip.Prefix
	named   bool // by the operator: then a proxy's word about another of them is believed too
}

// newProxies reads --trusted-proxy; nil if there is no proxy, and nobody is believed.
func newProxies(o RelayOptions) (*proxies, error) {
	if !o.BehindProxy {
		if len(o.TrustedProxies) > 0 {
			return nil, errorf(CodeUsage, "trusted_proxy", "give --behind-proxy too", "--trusted-proxy is for a relay behind a proxy")
		}
		return nil, nil
	}
	if len(o.TrustedProxies) == 0 {
		return &proxies{trusted: nearby}, nil
	}
	p := &proxies{named: true}
	for _, text := range o.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				prefix, err = addr.Unmap().WithZone("").Prefix(addr.Unmap().BitLen())
			}
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, errorf(CodeUsage, "trusted_proxy", "write an address or a network, such as 192.0.2.7 or 10.0.0.0/8", "--trusted-proxy %q is neither", text)
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

func (p *proxies) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

// remote says where a request comes from, for rate limits and the log: from its TCP peer,
// or, as far as that is a proxy which is believed, from where the proxy says.
func (p *proxies) remote(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero if it cannot be read: all such share one bucket
	addr := plain(peer.Addr())
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !p.trusts(addr) {
			return addr
		}
		before, ok := hopAddr(hop)
		if !ok {
			return addr
		}
		addr = before
		if !p.named {
			return addr
		}
	}
	return addr
}

// hopAddr reads one element of X-Forwarded-For; some proxies add the port.
func hopAddr(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		return plain(a), true
	}
	ap, err := netip.ParseAddrPort(text)
	return plain(ap.Addr()), err == nil
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// remoteAddr is what the parts of the relay are configured with: nil means the TCP peer.
func (p *proxies) remoteAddr() func(*http.Request) netip.Addr {
	if p == nil {
		return nil
	}
	return p.remote
}
