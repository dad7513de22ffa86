package service

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
)

// DoctorOptions say how far to look.
type DoctorOptions struct {
	Common
	Daemon string // empty: up to the control plane that this machine is logged in to
	Target string // NAME or NAME/HOST:PORT; empty: every target that has an address
	// Looking is told which hop is looked at now, before it is reported; nil is allowed.
	Looking func(hop string)
}

// Hop is one step on the way to a target, and how it went.
type Hop struct {
	Name   string        // one of the Hop constants, or of a relay that is elsewhere, "relay " and one of them
	Detail string        // what was found, for people
	Took   time.Duration // 0: nothing to measure
	Err    *Error        // nil: it is in order
}

// The hops, in the order of the way.
const (
	HopConfig    = "config"
	HopDNS       = "dns"
	HopProxy     = "proxy"
	HopTCP       = "tcp"
	HopTLS       = "tls"
	HopControl   = "control plane"
	HopToken     = "token"
	HopWebSocket = "websocket"
	HopRelay     = "relay"
	HopDaemon    = "daemon"
	HopIdentity  = "identity pin"
	HopAccess    = "authorised"
	HopTarget    = "target"
)

// hopTimeout bounds each hop; a network that drops silently is the slowest of failures.
const hopTimeout = dialTimeout

// Doctor goes the way to a daemon and its targets hop by hop, reports each, and returns
// the error of the first that is not in order; targets are all looked at. It changes
// nothing: no daemon is pinned, and no connection of another process is touched.
func Doctor(ctx context.Context, o DoctorOptions, report func(Hop)) error {
	return (&doctor{o: o, report: report, now: time.Now}).run(ctx)
}

// doctor is one look at the way.
type doctor struct {
	o      DoctorOptions
	report func(Hop)
	now    func() time.Time
	adjust func(*transport) // tests put proxies and resolvers of their own there; nil otherwise

	m         *machine
	client    *client // its link is not run before the hop "authorised"
	connected chan mux.Event
}

func (d *doctor) run(ctx context.Context) error {
	defer func() {
		if d.m != nil {
			d.m.close()
		}
	}()
	if err := d.hop(ctx, HopConfig, d.config); err != nil {
		return err
	}
	if err := d.way(ctx, "", d.client.known.ControlURL); err != nil {
		return err
	}
	if err := d.hop(ctx, HopControl, d.control); err != nil || d.o.Daemon == "" {
		return err
	}
	var session api.SessionResponse
	err := d.hop(ctx, HopToken, func(ctx context.Context) (detail string, err error) {
		session, detail, err = d.token(ctx)
		return detail, err
	})
	if err != nil {
		return err
	}
	if elsewhere(session.RelayURL, d.client.known.ControlURL) {
		if err := d.way(ctx, "relay ", session.RelayURL); err != nil {
			return err
		}
	}
	return d.session(ctx, session)
}

// hop runs one step, bounded, and reports it.
func (d *doctor) hop(ctx context.Context, name string, look func(context.Context) (string, error)) error {
	d.looking(name)
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	began := time.Now()
	detail, err := look(ctx)
	return d.tell(Hop{Name: name, Detail: detail, Took: time.Since(began)}, err)
}

func (d *doctor) looking(hop string) {
	if d.o.Looking != nil {
		d.o.Looking(hop)
	}
}

// tell reports a hop and returns its error, classified.
func (d *doctor) tell(h Hop, err error) error {
	if err == nil {
		d.report(h)
		return nil
	}
	h.Err = classify(err)
	if h.Err.Mend == mendRelay { // which names this very command
		e := *h.Err
		h.Err, e.Mend = &e, "check that the relay runs and that this machine's network is up"
	}
	d.report(h)
	return h.Err
}

// config opens the state directory and finds out which control plane to ask.
func (d *doctor) config(ctx context.Context) (string, error) {
	var err error
	if d.m, err = openMachine(ctx, d.o.Common); err != nil {
		return "", err
	}
	d.connected = make(chan mux.Event, 1)
	d.client, err = newClient(d.m, clientOptions{daemon: d.o.Daemon, sink: func(Event) {}, onEvent: func(e mux.Event) {
		select {
		case d.connected <- e:
		default: // the first one is waited for
		}
	}})
	if err != nil {
		return "", err
	}
	c := d.client
	known := config.KnownDaemon{}
	if d.o.Daemon != "" {
		known, err = d.m.dir.KnownDaemons().Lookup(d.o.Daemon)
		if err != nil && !errors.Is(err, config.ErrNotFound) {
			return "", stateError(err)
		}
		c.known, c.pinned = known, err == nil
	}
	if err := c.useControlPlane(known.ControlURL, known.CAFile); err != nil {
		if e := classify(err); e.Code == CodeLogin && d.o.Daemon != "" {
			e.Mend = "culvert pair CODE, with a code from `culvert pair` at the daemon; or culvert login first"
		}
		return "", err
	}
	if d.adjust != nil {
		d.adjust(c.net)
	}
	return fmt.Sprintf("%s; this machine is %s; control plane %s", d.m.dir.Path(), d.m.identity.PublicKey().Fingerprint(), c.known.ControlURL), nil
}

// control asks the control plane who this machine is to it.
func (d *doctor) control(ctx context.Context) (string, error) {
	c := d.client
	if err := d.checkHealth(ctx); err != nil {
		return "", err
	}
	list, err := c.api.Daemons(ctx)
	if err != nil {
		return "", d.explainControl(err)
	}
	detail := fmt.Sprintf("knows this machine, which may see %d daemons", len(list))
	if len(list) == 1 {
		detail = "knows this machine, which may see 1 daemon"
	}
	if d.o.Daemon == "" || c.pinned {
		return detail, nil
	}
	for _, found := range list {
		if found.Name == d.o.Daemon || found.ID == d.o.Daemon {
			c.known.Name, c.known.ID, c.known.Key = d.o.Daemon, found.ID, found.IdentityPublicKey
			return detail, nil
		}
	}
	return "", errorf(CodeDaemon, api.CodeDaemonNotFound, "`culvert daemons` lists the daemons of this account", "no daemon is called %q", d.o.Daemon)
}

// explainControl says of a refused key what this command, unlike others, is for.
func (d *doctor) explainControl(err error) error {
	ae, ok := errors.AsType[*api.Error](err)
	if !ok || ae.Code != api.CodeUnauthorized {
		return err
	}
	e := classify(err)
	e.Mend = "this machine's key " + d.m.identity.PublicKey().Fingerprint().Short() + "… is not known there, or no more: culvert login " + d.client.known.ControlURL
	return e
}

// token asks for a session with the daemon.
func (d *doctor) token(ctx context.Context) (api.SessionResponse, string, error) {
	c := d.client
	resp, err := c.api.CreateSession(ctx, c.known.ID)
	if err != nil {
		return resp, "", c.explainUnknown(ctx, err)
	}
	if err := checkRelayURL(c.known.ControlURL, resp.RelayURL); err != nil {
		return resp, "", err
	}
	return resp, "a session at " + hostOf(resp.RelayURL), nil
}

// notPinned is the end of the way to a daemon that nobody has trusted yet.
func (d *doctor) notPinned(fp sbrp.Fingerprint) error {
	return errorf(CodeRefused, "not_trusted",
		fmt.Sprintf("pair with it (`culvert pair` at the daemon), or compare the fingerprint there and run: culvert trust accept %s --fingerprint %s", d.o.Daemon, fp),
		"daemon %q is not pinned on this machine", d.o.Daemon)
}

// elsewhere tells whether two URLs lead to different servers.
func elsewhere(a, b string) bool { return hostOf(a) != hostOf(b) }

// hostOf is HOST:PORT of a URL, whatever its scheme calls WebSockets.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if u.Port() != "" {
		return strings.ToLower(u.Host)
	}
	if u.Scheme == "http" || u.Scheme == "ws" {
		return strings.ToLower(u.Host) + ":80"
	}
	return strings.ToLower(u.Host) + ":443"
}
