package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/token"
)

// Limits and timeouts of the spec's section 6.
const (
	DefaultGrace            = 60 * time.Second // a daemon may be away for so long
	DefaultPendingTimeout   = 10 * time.Second // and may take so long to say Signal(ready)
	DefaultHandshakeTimeout = 30 * time.Second // section 3
	DefaultIdleTimeout      = 90 * time.Second // silence after which a connection is dead
)

// Limits of our own.
const (
	// DefaultPingInterval is the silence after which the relay asks: two answers may be lost before IdleTimeout.
	DefaultPingInterval = 30 * time.Second
	// DefaultWriteTimeout is how long a peer may take to make room for one frame, and how long a close may take.
	DefaultWriteTimeout = 10 * time.Second
	// DefaultMessageTimeout bounds the arrival of one message; its sender may be on a bad wireless link.
	DefaultMessageTimeout = 30 * time.Second
	// DefaultClientQueue is what may wait for one client: a quarter of a second at 16 MB/s, a few stalls of a wireless link.
	DefaultClientQueue = 4 << 20
	// DefaultDaemonQueue is for the relay's own frames to a daemon, 15 bytes for each session that ends or is held:
	// 280,000 at once, more than one node carries.
	DefaultDaemonQueue = 4 << 20
	// DefaultBudget bounds the queues of all clients together.
	DefaultBudget = 1 << 30
)

// Verifier checks a token. The error of a refused one is a *token.Error.
type Verifier interface {
	Verify(ctx context.Context, raw string) (token.Claims, error)
}

// Config is what a Server needs. Zero means the default, except where it says otherwise.
type Config struct {
	Verifier Verifier // required
	Region   string   // empty: none; a token that names another is refused

	Grace            time.Duration
	PendingTimeout   time.Duration
	HandshakeTimeout time.Duration
	IdleTimeout      time.Duration
	PingInterval     time.Duration
	WriteTimeout     time.Duration

	// MessageTimeout is how long one message may take to arrive once it has begun: at 2.2 KB/s a full one makes it.
	MessageTimeout time.Duration

	Limits Limits
	// RemoteAddr says where a request comes from, for Limits.PerAddress; nil: its TCP peer. Behind a proxy all requests come
	// from one peer, and this must know better.
	RemoteAddr func(*http.Request) netip.Addr

	ClientQueue int   // bytes that may wait for one client
	DaemonQueue int   // bytes of Control and Pong frames that may wait for one daemon
	Budget      int64 // bytes that may wait for all clients together

	// Changed is called when a daemon's connection has come or gone; Online says which. It must not block, and may be called
	// by several goroutines at once. nil: nobody wants to know.
	Changed func(daemonID string)
	// Others says that there are other relays: when this one goes down, its daemons are told to ask for another.
	Others bool

	Logger *slog.Logger // nil: no log
}

// withDefaults returns c with its zero values filled, or an error that names the field.
func (c Config) withDefaults() (Config, error) {
	if c.Verifier == nil {
		return c, errors.New("relay: Config.Verifier is missing")
	}
	for _, d := range []struct {
		name  string
		field *time.Duration
		def   time.Duration
	}{
		{"Grace", &c.Grace, DefaultGrace},
		{"PendingTimeout", &c.PendingTimeout, DefaultPendingTimeout},
		{"HandshakeTimeout", &c.HandshakeTimeout, DefaultHandshakeTimeout},
		{"IdleTimeout", &c.IdleTimeout, DefaultIdleTimeout},
		{"PingInterval", &c.PingInterval, DefaultPingInterval},
		{"WriteTimeout", &c.WriteTimeout, DefaultWriteTimeout},
		{"MessageTimeout", &c.MessageTimeout, DefaultMessageTimeout},
	} {
		if *d.field < 0 {
			return c, fmt.Errorf("relay: Config.%s is negative (%v)", d.name, *d.field)
		}
		if *d.field == 0 {
			*d.field = d.def
		}
	}
	if c.PingInterval >= c.IdleTimeout {
		return c, fmt.Errorf("relay: Config.PingInterval (%v) must be shorter than IdleTimeout (%v)", c.PingInterval, c.IdleTimeout)
	}
	if c.ClientQueue < 0 || c.DaemonQueue < 0 || c.Budget < 0 {
		return c, errors.New("relay: Config.ClientQueue, DaemonQueue and Budget must not be negative")
	}
	if c.ClientQueue == 0 {
		c.ClientQueue = DefaultClientQueue
	}
	if c.ClientQueue < sbrp.MaxFrame {
		return c, fmt.Errorf("relay: Config.ClientQueue is %d bytes, one frame needs %d", c.ClientQueue, sbrp.MaxFrame)
	}
	if c.DaemonQueue == 0 {
		c.DaemonQueue = DefaultDaemonQueue
	}
	if c.Budget == 0 {
		c.Budget = DefaultBudget
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	if err := c.Limits.check(); err != nil {
		return c, err
	}
	if c.RemoteAddr == nil {
		c.RemoteAddr = tcpPeer
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
