package relay

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

// Limits bound what one party may take of a relay that serves strangers. The zero value has no limits.
type Limits struct {
	PerAddress int // WebSockets of one address, an IPv6 /64 counting as one; 0: any number
	PerAccount int // WebSockets of one account, its daemons and the clients of these; 0: any number
	Sessions   int // of one daemon, whatever more its token allows; 0: what the token says

	Client Rate // what one client may send
	Daemon Rate // what one daemon may send, for all its sessions together
}

// Rate is what one WebSocket may send. A peer that sends more is read from more slowly, so that TCP slows it down: nothing is
// dropped. It is told so by rate_limited, once per RateWindow at most.
type Rate struct {
	Messages int // per second, WebSocket pings and pongs included; 0: any number
	Bytes    int // per second, at least MinByteRate; 0: any number
}

// MinByteRate is the least Rate.Bytes: a full frame per second. Below it a connection would look dead to its peer.
const MinByteRate = sbrp.MaxFrame

// RateWindow is how often a peer is told that it is too fast. Our endpoints answer each with a pause that grows while they are
// told more than once in ten seconds; what slows them down to the rate itself is TCP.
const RateWindow = 15 * time.Second

func (l Limits) check() error {
	if l.PerAddress < 0 || l.PerAccount < 0 || l.Sessions < 0 {
		return errors.New("relay: Config.Limits.PerAddress, PerAccount and Sessions must not be negative")
	}
	for name, r := range map[string]Rate{"Client": l.Client, "Daemon": l.Daemon} {
		if r.Messages < 0 || r.Bytes < 0 {
			return fmt.Errorf("relay: Config.Limits.%s must not be negative", name)
		}
		if r.Bytes > 0 && r.Bytes < MinByteRate {
			return fmt.Errorf("relay: Config.Limits.%s.Bytes is %d per second, a frame alone may have %d", name, r.Bytes, MinByteRate)
		}
	}
	return nil
}

// crowd counts what is there of each of many. Its methods may run concurrently.
type crowd[K comparable] struct {
	mu sync.Mutex
	n  map[K]int
}

// enter counts one more; false, and nothing is counted, if there are most of that key already. 0: any number may be.
func (c *crowd[K]) enter(key K, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.n[key] >= most {
		return false
	}
	if c.n == nil {
		c.n = make(map[K]int)
	}
	c.n[key]++
	return true
}

func (c *crowd[K]) leave(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[key]--; c.n[key] == 0 {
		delete(c.n, key)
	}
}

// place is what a connection has been counted as. The zero value holds none.
type place struct {
	srv     *Server
	address netip.Prefix
	account string // empty: not counted yet
}

// seat counts a request as a connection of its address; false if there are too many.
func (s *Server) seat(r *http.Request) (*place, bool) {
	p := &place{srv: s, address: household(s.cfg.RemoteAddr(r))}
	if !s.addresses.enter(p.address, s.cfg.Limits.PerAddress) {
		return nil, false
	}
	return p, true
}

// charge counts the connection as one of its token's account too. A token that names none, as another control plane's, counts
// for its daemon. A daemon that comes back while its last connection is still open takes that one's place and is never refused.
func (p *place) charge(c token.Claims) bool {
	account, most := c.Account, p.srv.cfg.Limits.PerAccount
	if account == "" {
		account = "\x00" + c.DaemonID // no account's name
	}
	if c.Role == sbrp.RoleDaemon && p.srv.Online(c.DaemonID) {
		most = 0
	}
	if !p.srv.accounts.enter(account, most) {
		return false
	}
	p.account = account
	return true
}

// leave is called once, when the connection has ended or was refused.
func (p *place) leave() {
	p.srv.addresses.leave(p.address)
	if p.account != "" {
		p.srv.accounts.leave(p.account)
	}
}

// household is whom an address stands for: an IPv6 customer has a whole /64.
func household(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such are counted together
	}
	return p
}

// tcpPeer is the default of Config.RemoteAddr.
func tcpPeer(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // zero if it cannot be read: all such are counted together
	return ap.Addr()
}
