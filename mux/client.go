package mux

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// ClientConfig says who the client is. Key, Sign are required.
type ClientConfig struct {
	Key     [32]byte                // device key, Ed25519 public
	Sign    func(msg []byte) []byte // signs with its private half
	Name    string                  // what the client calls itself, at most 128 bytes
	Program string                  // program and version, at most 128 bytes

	// Pairing gives the proof of a pairing code for this transcript, or nil when there is none (any more). CheckPairing
	// judges the daemon's proof; it is called for each carrier on which a proof was sent, before anything of the daemon's
	// answer is used, and its error ends the carrier. Both or neither are set.
	Pairing      func(transcript [32]byte) []byte
	CheckPairing func(transcript [32]byte, proof []byte) error

	HoldTime     time.Duration // how long a link without a path is kept; 0: DefaultHoldTime. The smaller of both sides' rules
	WindowMin    int           // bytes that the peer may send ahead at first; 0: DefaultWindowMin
	WindowMax    int           // the most that may grow to, and the most kept for sending again; 0: DefaultWindowMax
	StreamWindow int           // bytes that one stalled stream may hold; 0: DefaultStreamWindow
	Budget       *Budget       // shared by all links of the process; nil: one of its own of DefaultBudget
	OnEvent      func(Event)   // nil: nobody listens
	Logger       *slog.Logger  // nil: no log
}

// Client is one link to one daemon, over any number of carriers, one at a time. All methods may be called concurrently.
type Client struct{}

// NewClient checks the configuration.
func NewClient(cfg ClientConfig) (*Client, error) { return &Client{}, nil }

// Serve runs the link on a carrier and blocks until that carrier has ended, which it then is in any case.
func (c *Client) Serve(ctx context.Context, carrier Carrier) error { return net.ErrClosed }

// Run blocks until ctx ends, then ends the link and waits for all that the client has started.
func (c *Client) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Close ends the link and its streams with a reason for people.
func (c *Client) Close(reason string) error { return nil }

// Open opens a stream. While there is no live link it waits until there is or ctx ends.
func (c *Client) Open(ctx context.Context) (*Stream, error) { <-ctx.Done(); return nil, ctx.Err() }

// Welcome is the daemon's last answer; false: there was none.
func (c *Client) Welcome() (Welcome, bool) { return Welcome{}, false }

// Status is a snapshot.
func (c *Client) Status() Status { return Status{State: StateConnecting} }
