package service

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/control"
	"culvert/sbrp/relay"
)

// RelayLimits bound what strangers may take of a relay. A zero field is no limit, except for
// times, queues and the token's age, where it is the default.
type RelayLimits struct {
	PerAddress int // WebSockets of one address (an IPv6 /64)
	PerAccount int // WebSockets of one account
	Sessions   int // of one daemon at once
	Waiting    int // HTTP connections of one address that have sent no whole request yet; not behind a proxy

	ClientMessages int    // per second, of one client
	ClientBytes    uint64 // per second
	DaemonMessages int    // per second, of one daemon with all its sessions
	DaemonBytes    uint64

	ClientQueue uint64 // bytes that may wait for one client
	QueueBudget uint64 // bytes that may wait for all clients together

	HeaderTimeout    time.Duration // for TLS and the request's header
	HandshakeTimeout time.Duration // from the WebSocket to HandshakeAccept
	TokenAge         time.Duration // of relay tokens since they were issued
}

// DefaultRelayLimits are those of `culvert relay`. A household or an office behind one address
// fits in, and a machine that does its worst takes a few per cent of a small server.
func DefaultRelayLimits() RelayLimits {
	return RelayLimits{
		PerAddress: 1000, PerAccount: 10000, Sessions: 1024, Waiting: 250,
		// A full frame has 64 KiB: neither bounds what a tunnel moves, but what only costs does not pay.
		ClientMessages: 50_000, DaemonMessages: 400_000,
		ClientQueue: relay.DefaultClientQueue, QueueBudget: relay.DefaultBudget,
		HeaderTimeout: 10 * time.Second, HandshakeTimeout: relay.DefaultHandshakeTimeout, TokenAge: control.MaxPresenceTTL,
	}
}

// withDefaults fills in what must not be zero, or says what is wrong, in the words of the flags.
func (l RelayLimits) withDefaults() (RelayLimits, error) {
	d := DefaultRelayLimits()
	if l.ClientQueue == 0 {
		l.ClientQueue = d.ClientQueue
	}
	if l.QueueBudget == 0 {
		l.QueueBudget = d.QueueBudget
	}
	if l.HeaderTimeout == 0 {
		l.HeaderTimeout = d.HeaderTimeout
	}
	if l.HandshakeTimeout == 0 {
		l.HandshakeTimeout = d.HandshakeTimeout
	}
	if l.TokenAge == 0 {
		l.TokenAge = d.TokenAge
	}
	for name, n := range map[string]int{
		"max-per-address": l.PerAddress, "max-per-account": l.PerAccount, "max-sessions": l.Sessions, "max-waiting": l.Waiting,
		"client-messages": l.ClientMessages, "daemon-messages": l.DaemonMessages,
	} {
		if n < 0 {
			return l, errorf(CodeUsage, "limits", "write 0 for no limit", "--%s is negative", name)
		}
	}
	for name, n := range map[string]uint64{"client-rate": l.ClientBytes, "daemon-rate": l.DaemonBytes} {
		if n > 0 && n < relay.MinByteRate || n > mostBytes {
			return l, errorf(CodeUsage, "limits", "such as 10MB", "--%s must be %d bytes at least, which is one full frame per second, and 1 GiB at most", name, relay.MinByteRate)
		}
	}
	if l.ClientQueue < sbrp.MaxFrame || l.ClientQueue > mostBytes {
		return l, errorf(CodeUsage, "limits", "such as 4MiB", "--client-queue must be %d bytes at least, which is one full frame, and 1 GiB at most", sbrp.MaxFrame)
	}
	return l, nil
}

// mostBytes fits an int on every platform.
const mostBytes = 1 << 30

// relay returns the limits as package relay wants them.
func (l RelayLimits) relay() relay.Limits {
	return relay.Limits{
		PerAddress: l.PerAddress, PerAccount: l.PerAccount, Sessions: l.Sessions,
		Client: relay.Rate{Messages: l.ClientMessages, Bytes: int(l.ClientBytes)},
		Daemon: relay.Rate{Messages: l.DaemonMessages, Bytes: int(l.DaemonBytes)},
	}
}

// doorman counts the HTTP connections of each address that nobody has been let in by yet: slow
// or half-open ones, TLS handshakes under way, keep-alive. Those of an address that has too many
// are closed, before TLS has cost anything. Its method note is an http.Server's ConnState.
type doorman struct {
	most int // 0: any number

	mu      sync.Mutex // guards what follows
	seen    map[net.Conn]visitor
	n       map[netip.Addr]int
	full    uint64 // connections that were turned away
	unheard uint64 // connections that ended before a request had begun
}

// visitor is one connection that is not upgraded.
type visitor struct {
	from  netip.Addr
	spoke bool // TLS is done, if it is used, and a request has begun
}

func newDoorman(most int) *doorman {
	return &doorman{most: most, seen: make(map[net.Conn]visitor), n: make(map[netip.Addr]int)}
}

func (d *doorman) note(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if !d.enter(conn) {
			_ = conn.Close() // the server notices
		}
	case http.StateActive:
		d.mu.Lock()
		defer d.mu.Unlock()
		if v, ok := d.seen[conn]; ok && !v.spoke {
			v.spoke = true
			d.seen[conn] = v
		}
	case http.StateHijacked, http.StateClosed: // a WebSocket, which the relay counts, or gone
		d.leave(conn)
	}
}

func (d *doorman) enter(conn net.Conn) bool {
	ap, _ := netip.ParseAddrPort(conn.RemoteAddr().String()) // zero if it cannot be read: all such are counted together
	from := ap.Addr().Unmap().WithZone("")
	if p, err := from.Prefix(64); err == nil && from.Is6() {
		from = p.Addr()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.most > 0 && d.n[from] >= d.most {
		d.full++
		return false
	}
	d.n[from]++
	d.seen[conn] = visitor{from: from}
	return true
}

func (d *doorman) leave(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.seen[conn]
	if !ok {
		return
	}
	delete(d.seen, conn)
	if !v.spoke {
		d.unheard++
	}
	if d.n[v.from]--; d.n[v.from] == 0 {
		delete(d.n, v.from)
	}
}

// doorCounts are what the doorman has seen so far.
type doorCounts struct {
	waiting             int
	turnedAway, unheard uint64
}

func (d *doorman) counts() doorCounts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return doorCounts{len(d.seen), d.full, d.unheard}
}
