package service

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"culvert/config"
	"culvert/sbrp"
	"culvert/tunnel"
)

// Common is what every command of this machine needs.
type Common struct {
	// StateDir is the state directory; it must be set (config.StateDir decides it).
	StateDir string
	// Program is the name and version told to peers, such as "culvert v0.1.0".
	Program string
	// Logger gets diagnostics; nil discards them.
	Logger *slog.Logger
	// Beat is called every BeatEvery while a long-running command can still say what it
	// does, and no more when it hangs: it is for a supervisor's watchdog. nil: never.
	Beat      func()
	BeatEvery time.Duration
	// Passphrase gets the passphrase of a device key that is protected; it is called at most
	// once for each call of this package, may block, and returns config.ErrPassphraseNeeded
	// where it cannot get one. nil: nobody is asked.
	Passphrase func(context.Context) (config.Secret, error)
	// Command carries out a command for a user who may use the admin socket, but not the
	// state directory; nil: there are none. See [Delegate].
	Command CommandFunc
}

// CommandFunc carries out a command line until it is done or ctx ends, and returns the exit
// code.
type CommandFunc func(ctx context.Context, words []string, stdout, stderr io.Writer) int

// LoginOptions enrol this machine's device key at a control plane.
type LoginOptions struct {
	Common
	URL    string        // control plane, https://…; http only to loopback
	APIKey config.Secret // from a file, stdin or a prompt
	CAFile string        // PEM file of a private CA; empty: the system's roots
	Name   string        // name of this machine; empty: the host name
}

// LoginResult tells what was enrolled.
type LoginResult struct {
	URL         string
	Name        string
	Account     string
	Scopes      []string
	Fingerprint sbrp.Fingerprint // of this machine's device key
}

// ExposeOptions are the daemon's.
type ExposeOptions struct {
	Common
	Name     string // daemon's name; empty: the host name
	Replace  bool   // take the name away from another daemon of the account that has it
	Targets  []tunnel.Target
	Pair     bool // make a pairing code at start and tell it by a pairing_code event
	HoldTime time.Duration
	// Retry ends the wait for the next attempt at each value, as SIGHUP does; nil is allowed.
	Retry <-chan os.Signal
	// Ready is called once, when the daemon is online; nil is allowed.
	Ready func()
}

// ForwardOptions are the client's, for one daemon.
type ForwardOptions struct {
	Common
	Daemon   string
	Forwards []tunnel.ForwardSpec
	// Once ends with an error when the first attempt fails, instead of retrying.
	Once bool
	// Timeout bounds how long the daemon or a target may stay unreachable; 0: for ever.
	Timeout time.Duration
	// WhenHeldRefuse refuses new local connections while there is no live link; by default
	// they wait.
	WhenHeldRefuse bool
	HoldTime       time.Duration
	// Trust decides about a daemon that is not pinned yet. nil refuses.
	Trust TrustFunc
	// Ready is called once, when every forward's target has been reached; nil is allowed.
	Ready func()
	// Retry ends the wait for the next attempt at each value, as SIGHUP does; nil is allowed.
	Retry <-chan os.Signal

	command string // the command that status shows; empty: forward
}

// TrustFunc is asked whether to pin a daemon on first use, with the key that the control
// plane advertises. false refuses.
type TrustFunc func(name string, fingerprint sbrp.Fingerprint) bool

// StdioOptions carry one connection on a pair of streams.
type StdioOptions struct {
	Common
	Daemon   string
	Target   string
	In       io.Reader
	Out      io.Writer
	Timeout  time.Duration // for the first byte of the way to the target; 0: 30 s
	HoldTime time.Duration
	Trust    TrustFunc
	// Connected is called once there is a way to the daemon, before anything is read from In
	// or written to Out; nil is allowed.
	Connected func()
}

// PairOptions make a pairing code on the daemon's machine.
type PairOptions struct {
	Common
	Targets []string      // what the new client may reach; empty: all
	For     time.Duration // how long the grant lasts; 0: until revoked
	TTL     time.Duration // how long the code lasts; 0: 5 minutes, which is the most
}

// PairingCode is a made code.
type PairingCode struct {
	Code      string
	URL       string // control plane, which a guest has to name
	ExpiresAt time.Time
	// Running says that a daemon is running and will answer; if not, `culvert expose` must
	// be started before the code expires.
	Running bool

	lookup [lookupSize]byte
}

// RedeemOptions redeem a pairing code on the client's machine.
type RedeemOptions struct {
	Common
	Code   string
	URL    string // control plane for a guest; empty: the one this machine is logged in to
	CAFile string
	As     string // local name for the daemon; empty: the daemon's own name
}

// Paired tells what was pinned.
type Paired struct {
	Daemon      string
	DaemonID    string
	Fingerprint sbrp.Fingerprint
	Targets     []string
}

// DaemonRow is one daemon as the control plane and the pins show it.
type DaemonRow struct {
	Name        string           `json:"name"`
	ID          string           `json:"id"`
	Online      bool             `json:"online"`
	Fingerprint sbrp.Fingerprint `json:"fingerprint"`
	Pinned      bool             `json:"pinned"`
	// Changed says that the control plane advertises another key than the pinned one.
	Changed bool `json:"changed,omitempty"`
}

// GrantOptions let a client reach targets.
type GrantOptions struct {
	Common
	Client  string // public key (base64url) or the name of a known client
	Name    string // name for a new client; empty: derived from the key
	Targets []string
	For     time.Duration // 0: until revoked
}

// ClientRow is one line of the authorised clients.
type ClientRow struct {
	Name        string           `json:"name"`
	Key         sbrp.PublicKey   `json:"key"`
	Fingerprint sbrp.Fingerprint `json:"fingerprint"`
	Targets     []string         `json:"targets"`
	Expires     *time.Time       `json:"expires,omitempty"`
	Expired     bool             `json:"expired,omitempty"`
	// Live is how many links the client has to the running daemon; Running says whether a
	// daemon was there to ask.
	Live    int  `json:"live"`
	Running bool `json:"-"`
}

// RelayOptions run relay and control plane behind one listener.
type RelayOptions struct {
	Common
	Listen      string   // host:port; port 0 takes any
	PublicURL   string   // what clients and daemons are told; empty: derived from the listener, loopback only
	NodeURL     string   // of this node alone, where several share a store; empty: PublicURL
	Domains     []string // for which to get certificates by ACME; none: TLSCert, or a proxy does TLS
	ACMECA      string   // directory URL of the certificate authority; empty: Let's Encrypt
	ACMECAFile  string   // PEM file by which that server is believed; empty: the system's authorities
	TLSCert     string
	TLSKey      string
	BehindProxy bool // serve plain HTTP on a non-loopback address: a proxy in front does TLS
	// TrustedProxies are the addresses and networks whose X-Forwarded-For is believed, with
	// BehindProxy; none: loopback and private networks.
	TrustedProxies []string
	DB             string // "sqlite:PATH" or "postgres://…"; empty: STATE/relay.db
	Grace          time.Duration
	Limits         RelayLimits
	Metrics        string // host:port for /metrics, /healthz and /readyz in plain HTTP; empty: none
	Pprof          string // loopback host:port for the profiler; empty: none
	// Drain is over how much time the connections are told to go elsewhere when ctx ends; 0: all
	// at once, which is right where there is no other relay. It ends at most 15 s after that.
	Drain time.Duration
	// Chaos has the relay cheat, as ChaosUsage says: for tests, on loopback only. Empty: it does not.
	Chaos string
	// Ready is called once, when the listener accepts connections.
	Ready func(RelayInfo)
}

// RelayInfo tells where a started relay is.
type RelayInfo struct {
	URL      string // public URL
	Addr     string // listener
	Metrics  string // listener of RelayOptions.Metrics; empty: none
	Pprof    string // listener of RelayOptions.Pprof; empty: none
	KeyFile  string // the file with the admin API key
	FirstRun bool   // the admin key was made by this start
	Chaos    string // how the relay cheats, with the seed; empty: it does not
}

// KeyStoreOptions name the store of a relay for the `relay key` commands.
type KeyStoreOptions struct {
	Common
	DB string // as RelayOptions.DB
}

// KeySpec describes a new API key.
type KeySpec struct {
	Name    string
	Account string // empty: "default"
	Scopes  []string
	For     time.Duration // 0: does not expire
}

// KeyRow is one API key, without its secret.
type KeyRow struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Account string     `json:"account"`
	Scopes  []string   `json:"scopes"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// DemoOptions run every part in one process on loopback.
type DemoOptions struct {
	Program string
	Logger  *slog.Logger
	// Listen is the local address of the forward; empty: 127.0.0.1:0.
	Listen string
	// Once fetches the sample page through the tunnel, checks it, and returns.
	Once bool
	// Ready is called once the page can be fetched; nil is allowed.
	Ready func(DemoInfo)
}

// DemoInfo tells where the demo's page is and how long the parts took.
type DemoInfo struct {
	URL         string        // the page, through the tunnel
	DirectURL   string        // the same page, not through the tunnel
	Relay       string        // the relay's URL
	Started     time.Duration // from start to ready
	Fingerprint sbrp.Fingerprint
	// With Once: the page fetched through the tunnel.
	Fetched FetchResult
}

// FetchResult is one fetch of the demo page.
type FetchResult struct {
	Bytes     int
	SHA256    string
	FirstByte time.Duration
	Total     time.Duration
}
