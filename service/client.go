package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/endpoint"
)

// client keeps one link to one daemon: it resolves the name, asks for a session, dials the
// relay, runs the link on that carrier, and starts again when the carrier ends. Its link
// survives all that; see package mux.
type client struct {
	m       *machine
	name    string // what the user calls the daemon
	trust   TrustFunc
	once    bool          // the first attempt must succeed
	timeout time.Duration // how long there may be no live link; 0: for ever
	sink    Sink

	link    *mux.Client
	offered chan struct{} // one slot: a WELCOME has come
	underway

	// Owned by Run's loop.
	known  config.KnownDaemon
	pinned bool // known stands in the state directory
	api    *api.Client
	net    *transport

	welcomed atomic.Bool // the link has been up at least once
	lastLive atomic.Int64
	shown    atomic.Pointer[sbrp.Fingerprint] // of the key that the daemon has proved
	relay    atomic.Pointer[string]           // URL of the last carrier's relay
}

// clientOptions are what the commands have in common.
type clientOptions struct {
	daemon   string
	trust    TrustFunc
	once     bool
	timeout  time.Duration
	holdTime time.Duration
	sink     Sink
	// pairing and checkPairing prove a pairing code both ways; nil without one.
	pairing      func(transcript [32]byte) []byte
	checkPairing func(transcript [32]byte, proof []byte) error
	onEvent      func(mux.Event)
}

func newClient(m *machine, o clientOptions) (*client, error) {
	c := &client{
		m: m, name: o.daemon, trust: o.trust, once: o.once, timeout: o.timeout, sink: o.sink,
		underway: underway{kick: make(chan struct{}, 1)}, offered: make(chan struct{}, 1),
	}
	link, err := mux.NewClient(mux.ClientConfig{
		Key: m.identity.PublicKey(), Sign: m.identity.SignMessage,
		Name: m.deviceName(), Program: m.program,
		Pairing: o.pairing, CheckPairing: o.checkPairing,
		HoldTime: o.holdTime, Logger: m.log,
		OnEvent: func(e mux.Event) {
			c.observe(e)
			if o.onEvent != nil {
				o.onEvent(e)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up link: %w", err)
	}
	c.link = link
	c.lastLive.Store(time.Now().UnixNano())
	return c, nil
}

// observe turns what happens to the link into events.
func (c *client) observe(e mux.Event) {
	c.lastLive.Store(time.Now().UnixNano())
	out := Event{Time: e.Time, Daemon: c.name}
	switch e.Kind {
	case mux.EventConnected:
		c.welcomed.Store(true)
		c.noteOffer()
		return
	case mux.EventHeld:
		out.Event, out.Connections = EventHeld, new(e.Streams)
	case mux.EventResumed:
		out.Event, out.After, out.Kept, out.Lost = EventResumed, e.After, new(e.Kept), new(e.Lost)
	case mux.EventLost, mux.EventClosed:
		if !isLost(e) {
			return
		}
		out.Event, out.Connections = EventLost, new(e.Lost)
	default:
		return
	}
	out.Reason = reasonText(e.Reason)
	c.m.log.Info("link "+e.Kind.String(), "daemon", c.name, "link", e.Link.String(), "reason", e.Reason)
	c.sink(out)
}

// isLost reports whether a link has ended that its client wanted to go on: a daemon that shuts down ends it on purpose,
// which is no less a loss here.
func isLost(e mux.Event) bool {
	if e.Kind != mux.EventClosed {
		return e.Kind == mux.EventLost
	}
	end, ok := errors.AsType[*mux.LinkError](e.Reason)
	return ok && end.Remote
}

// run keeps the link until ctx ends, which is no error, or something happens that cannot
// heal by itself.
func (c *client) run(ctx context.Context) error {
	pace := newPace()
	var before *Error // what the last attempt failed with
	for {
		served, err := c.attempt(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errKicked) {
			pace.kicked()
			c.forgetNetwork()
			continue
		}
		e := classify(err)
		if before != nil && c.timeout > 0 && errors.Is(err, context.DeadlineExceeded) {
			e = before // our timeout cut this attempt short: it says less than the one before
		}
		before = e
		switch {
		case e.Code == CodeIdentity:
			e.Mend = fmt.Sprintf("compare the new fingerprint with the one that the daemon's machine shows; only if they are equal: culvert trust forget %s, then pair again", c.name)
		case e.Name == string(mux.RefuseNotAuthorized):
			e.Mend = "ask the daemon's owner for `culvert pair`, or to run: culvert grant " + c.m.identity.PublicKey().String()
		}
		if err := c.verdict(e); err != nil {
			return err
		}
		c.m.log.Info("no carrier", "daemon", c.name, "code", e.Name, "err", e.Err)
		var wait time.Duration
		if served > 0 {
			c.forgetNetwork() // where the carrier was lost, nothing else can be trusted
			wait = pace.lost(served)
		} else {
			var news bool
			if wait, news = pace.failed(e); news {
				c.report(e)
			}
			wait = max(wait, askedWait(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.kick:
			pace.kicked()
			c.forgetNetwork()
		case <-time.After(wait):
		}
	}
}

// forgetNetwork drops the HTTP connections that are kept: they belong to a network that
// may be gone.
func (c *client) forgetNetwork() {
	if c.net != nil {
		c.net.forget()
	}
}

// verdict returns the error that ends the loop, or nil to try again.
func (c *client) verdict(e *Error) error {
	if e.Code.Permanent() {
		return e
	}
	if c.once && !c.welcomed.Load() {
		return e
	}
	if c.timeout > 0 && time.Since(time.Unix(0, c.lastLive.Load())) > c.timeout {
		return e
	}
	return nil
}

// report tells an error that is going to be retried.
func (c *client) report(e *Error) {
	c.sink(Event{Time: time.Now(), Event: EventError, Daemon: c.name, Code: e.Name, Message: e.Error(), Mend: e.Mend})
}

// dial asks for a session and does the SBRP handshake. The daemon must show the pinned
// key, whatever the control plane says; a first pin is stored only after that.
func (c *client) dial(ctx context.Context) (*endpoint.Session, error) {
	if err := c.resolve(ctx); err != nil {
		return nil, err
	}
	resp, err := c.api.CreateSession(ctx, c.known.ID)
	if err != nil {
		return nil, c.explainUnknown(ctx, err)
	}
	return c.open(ctx, resp)
}

// open dials the relay that a session response names.
func (c *client) open(ctx context.Context, resp api.SessionResponse) (*endpoint.Session, error) {
	if err := checkRelayURL(c.known.ControlURL, resp.RelayURL); err != nil {
		return nil, err
	}
	session, err := endpoint.DialSession(ctx, endpoint.ClientConfig{
		URL: resp.RelayURL, Token: resp.Token, DaemonID: c.known.ID, Expected: c.known.Key,
		Dial: c.net.dial, Logger: c.m.log,
	})
	if err != nil {
		return nil, err
	}
	c.relay.Store(&resp.RelayURL)
	if c.pinned {
		return session, nil
	}
	if err := c.pin(ctx); err != nil {
		_ = session.Close("not pinned") // the error says why
		return nil, err
	}
	return session, nil
}

// fingerprint is the pinned key's, once the name has been resolved.
func (c *client) fingerprint() string {
	if fp := c.shown.Load(); fp != nil {
		return fp.String()
	}
	return ""
}

// relayURL is the relay of the last carrier; empty before the first one.
func (c *client) relayURL() string {
	if url := c.relay.Load(); url != nil {
		return *url
	}
	return ""
}

// targetNames are the names in a WELCOME.
func targetNames(w mux.Welcome) []string {
	names := make([]string, 0, len(w.Targets))
	for _, t := range w.Targets {
		names = append(names, t.Name)
	}
	return names
}

var _ mux.Carrier = (*endpoint.Session)(nil)

// keyOf is the device key that a link's peer proved.
func keyOf(p mux.Peer) sbrp.PublicKey { return sbrp.PublicKey(p.Key) }

// TrustFirstUse is the policy that pins whatever key the control plane advertises: the
// user has asked for it.
func TrustFirstUse(string, sbrp.Fingerprint) bool { return true }
