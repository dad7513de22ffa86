package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/wsconn"
	"culvert/tunnel"
)

// session goes through the relay to the daemon: WebSocket, relay, daemon, identity pin,
// and what lies behind.
func (d *doctor) session(ctx context.Context, resp api.SessionResponse) error {
	c := d.client
	var opened time.Duration // when the WebSocket was open; 0: never
	d.looking(HopWebSocket)
	began := time.Now()
	dctx, cancel := context.WithTimeout(ctx, 2*hopTimeout)
	defer cancel()
	s, err := endpoint.DialSession(dctx, endpoint.ClientConfig{
		URL: resp.RelayURL, Token: resp.Token, DaemonID: c.known.ID, Expected: c.known.Key,
		Dial: c.net.dial, Logger: d.m.log, HandshakeTimeout: hopTimeout,
		DialWire: func(ctx context.Context, url string, o wsconn.DialOptions) (endpoint.Wire, error) {
			w, err := wsconn.Dial(ctx, url, o)
			if err != nil {
				return nil, err
			}
			opened = time.Since(began)
			d.looking(HopDaemon)
			return w, nil
		},
	})
	took := time.Since(began)
	if opened == 0 {
		return d.tellDial(resp.RelayURL, err, took)
	}
	_ = d.tell(Hop{Name: HopWebSocket, Detail: "open", Took: opened}, nil)
	if err != nil && !isDaemons(err) {
		return d.tell(Hop{Name: HopRelay}, err)
	}
	_ = d.tell(Hop{Name: HopRelay, Detail: hostOf(resp.RelayURL) + " takes the token"}, nil)
	h := Hop{Name: HopDaemon, Took: took - opened}
	e := classify(err)
	if err != nil && e.Code != CodeIdentity {
		return d.tell(h, err)
	}
	h.Detail = "online"
	_ = d.tell(h, nil)
	if err != nil {
		if e.Code == CodeIdentity {
			e.Mend = fmt.Sprintf("compare the new fingerprint with the one that the daemon's machine shows; only if they are equal: culvert trust forget %s, then pair again", d.o.Daemon)
		}
		return d.tell(Hop{Name: HopIdentity}, e)
	}
	if !c.pinned {
		_ = s.Close("doctor") // it only looked
		return d.tell(Hop{Name: HopIdentity}, d.notPinned(s.DaemonKey().Fingerprint()))
	}
	_ = d.tell(Hop{Name: HopIdentity, Detail: fmt.Sprintf("%s, as pinned (%s)", s.DaemonKey().Fingerprint(), c.known.Trust)}, nil)
	return d.link(ctx, s)
}

// tellDial reports a WebSocket that could not be opened: a refusal in the relay's own
// words is the relay's, everything else is in the way.
func (d *doctor) tellDial(relayURL string, err error, took time.Duration) error {
	de, ok := errors.AsType[*wsconn.DialError](err)
	if !ok || de.Hop != wsconn.HopHTTP || de.Code == "" {
		e := classify(err)
		switch {
		case errors.Is(err, wsconn.ErrCaptivePortal):
			e = &Error{Code: CodeRelay, Name: "captive_portal", Err: err, Mend: "open any http:// page in a browser and log in to this network; or ask who runs the proxy to let WebSockets pass"}
		case errors.Is(err, wsconn.ErrNotWebSocket), ok && de.Hop == wsconn.HopHTTP:
			e = &Error{Code: CodeRelay, Name: "websocket", Err: err, Mend: "let WebSockets pass at " + hostOf(relayURL) + ": a proxy in front of the relay, or in between, does not"}
		}
		return d.tell(Hop{Name: HopWebSocket, Took: took}, e)
	}
	_ = d.tell(Hop{Name: HopWebSocket, Detail: "the relay answers", Took: took}, nil)
	return d.tell(Hop{Name: HopRelay}, err)
}

// isDaemons tells whether a failed handshake is about the daemon and not about the relay.
func isDaemons(err error) bool {
	if _, ok := errors.AsType[*e2ee.IdentityChangedError](err); ok {
		return true
	}
	for _, code := range []sbrp.Code{sbrp.CodeDaemonOffline, sbrp.CodeDaemonNotFound, sbrp.CodeHandshakeFailed, sbrp.CodeHandshakeTimeout, sbrp.CodeIdentityKeyChanged} {
		if errors.Is(err, &sbrp.ControlError{Code: code}) || errors.Is(err, &sbrp.Error{Code: code}) {
			return true
		}
	}
	return false
}

// link proves this machine's key to the daemon and looks at the targets. It owns s.
func (d *doctor) link(ctx context.Context, s *endpoint.Session) error {
	c := d.client
	linkCtx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(linkCtx)
	// The carrier outlives the link, so that its end reaches the daemon.
	pathCtx, stopPath := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopPath()
		return ended(gctx, c.link.Run(gctx))
	})
	served := make(chan error, 1)
	g.Go(func() error {
		served <- c.link.Serve(pathCtx, s)
		return nil
	})
	err := d.hop(ctx, HopAccess, func(ctx context.Context) (string, error) {
		select {
		case <-d.connected:
			w, _ := c.link.Welcome()
			return describeTargets(w), nil
		case err := <-served:
			e := classify(err)
			if e.Name == string(mux.RefuseNotAuthorized) {
				e.Mend = "ask the daemon's owner for `culvert pair`, or to run: culvert grant " + d.m.identity.PublicKey().String()
			}
			return "", e
		case <-ctx.Done():
			return "", errorf(CodeDaemon, "timeout", "look at `culvert expose` on the daemon's machine", "no answer from the daemon: %w", ctx.Err())
		}
	})
	if err == nil {
		err = d.targets(ctx)
	}
	stop()
	if werr := g.Wait(); err == nil && werr != nil {
		d.m.log.Debug("link ended", "err", werr) // it has done what it was for
	}
	_ = s.Close("doctor") // Serve has closed it unless it was never reached
	return err
}

// targets checks the target that was asked for, or all that have an address. The error is
// the first one's.
func (d *doctor) targets(ctx context.Context) error {
	w, _ := d.client.link.Welcome()
	var names []string
	for _, t := range w.Targets {
		if t.Kind != tunnel.NetworkCIDR {
			names = append(names, t.Name)
		}
	}
	if d.o.Target != "" {
		names = []string{d.o.Target}
	}
	var first error
	for _, name := range names {
		err := d.hop(ctx, HopTarget, func(ctx context.Context) (string, error) {
			_, err := tunnel.Check(ctx, d.client.link, name)
			if err != nil {
				return name, d.explainTarget(w, name, err)
			}
			return name + " answers", nil
		})
		if first == nil {
			first = err
		}
	}
	return first
}

// explainTarget names the targets there are, when one was asked for that is not.
func (d *doctor) explainTarget(w mux.Welcome, name string, err error) error {
	st, ok := errors.AsType[*tunnel.StatusError](err)
	if !ok || st.Status != tunnel.StatusUnknownTarget {
		return err
	}
	e := classify(err)
	base, _, inside := strings.Cut(name, "/")
	for _, t := range w.Targets {
		if t.Name == base && t.Kind == tunnel.NetworkCIDR && !inside {
			e.Mend = fmt.Sprintf("it is a network: name an address, %s/%s/HOST:PORT", d.o.Daemon, base)
			return e
		}
	}
	if names := targetNames(w); len(names) > 0 {
		e.Mend = "this machine may reach: " + strings.Join(names, ", ")
	}
	return e
}

func describeTargets(w mux.Welcome) string {
	if len(w.Targets) == 0 {
		return "yes, and no target is exposed to it"
	}
	return "yes, for " + strings.Join(targetNames(w), ", ")
}
