package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp/api"
	"culvert/sbrp/endpoint"
	"culvert/tunnel"
)

// exposure is a running daemon: it registers at the control plane, keeps the WebSocket to
// the relay, admits clients, and serves their streams.
type exposure struct {
	m       *machine
	o       ExposeOptions // but for Name and Targets, which may change, and HoldTime, which mu guards
	url     string        // control plane
	api     *api.Client
	net     *transport
	sink    Sink
	ready   sync.Once
	exposer *tunnel.Exposer
	clients *config.AuthorizedClients
	// fallback is the name where the user gives none.
	fallback string

	// Set by run before running is.
	links  *mux.Server
	daemon *endpoint.Daemon
	acts   *acts

	mu          sync.Mutex // guards what follows
	running     bool       // links and daemon are there
	name        string
	presence    endpoint.Presence
	tried       unreachable
	online      bool
	since       time.Time // when online changed
	offlineCode Code      // why it is not, as it was told last
	offline     *Error    // why it is not, as it is now
	failed      *Error    // it has ended for good
	drops       map[mux.LinkID]drop
}

// daemonLockFile is locked while a process exposes targets: two on one state directory
// would replace each other at the relay for ever.
const daemonLockFile = "daemon.lock"

// Expose serves the targets to authorised clients until ctx ends, which is no error. It
// retries for ever what can heal by itself.
func Expose(ctx context.Context, o ExposeOptions, sink Sink) error {
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return err
	}
	defer m.close()
	p := newProcess(m, "expose", sink)
	x, err := newExposure(m, o, p.sink)
	if err != nil {
		return err
	}
	p.set(x)
	return p.run(ctx, func(ctx context.Context) error { return m.retrying(ctx, o.Retry, x.retryNow, x.run) })
}

// newExposure checks the options; nothing runs yet.
func newExposure(m *machine, o ExposeOptions, sink Sink) (*exposure, error) {
	e, err := m.enrolled()
	if err != nil {
		return nil, err
	}
	x := &exposure{
		m: m, o: o, url: e.URL, sink: sink, clients: m.dir.AuthorizedClients(),
		fallback: cmp.Or(e.Name, hostName()), since: time.Now(), drops: map[mux.LinkID]drop{},
	}
	x.name = x.nameOr(o.Name)
	if x.api, x.net, err = m.controlPlane(e.URL, e.CAFile); err != nil {
		return nil, err
	}
	targets, err := tunnel.NewTargets(o.Targets...)
	if err != nil {
		return nil, &Error{Code: CodeUsage, Name: "targets", Err: err}
	}
	x.exposer, err = tunnel.NewExposer(tunnel.ExposerConfig{
		Targets: targets, Grants: x.clients, Logger: m.log,
		OnOpen:   func(s tunnel.StreamInfo) { x.acts.opened(s) }, // run sets acts before there is a stream
		OnClose:  func(s tunnel.StreamInfo, end tunnel.End) { x.acts.closed(s, end) },
		OnRefuse: func(s tunnel.StreamInfo, status tunnel.Status, err error) { x.acts.notOpened(s, status, err) },
	})
	if err != nil {
		return nil, &Error{Code: CodeUsage, Name: "targets", Err: err}
	}
	return x, nil
}

// assemble builds the parts; none of them does anything before run.
func (x *exposure) assemble(ctx context.Context) (err error) {
	x.mu.Lock()
	hold := x.o.HoldTime
	x.mu.Unlock()
	x.links, err = mux.NewServer(mux.ServerConfig{
		Admit: x.admit,
		Handle: func(ctx context.Context, s *mux.Session) {
			if err := x.exposer.Serve(ctx, s); err != nil {
				x.m.log.Debug("link's streams ended", "client", s.Peer().Name, "err", err)
			}
		},
		Program: x.m.program, HoldTime: hold, OnEvent: x.observe, Logger: x.m.log,
	})
	if err != nil {
		return &Error{Code: CodeFailure, Name: "failure", Err: fmt.Errorf("set up links: %w", err)}
	}
	x.daemon, err = endpoint.NewDaemon(endpoint.DaemonConfig{
		Identity: x.m.identity, Connect: x.connect, OnState: x.state, Dial: x.net.dial, Logger: x.m.log,
		Accept: func(s *endpoint.Session) {
			if err := x.links.Serve(ctx, s); err != nil {
				x.m.log.Debug("carrier ended", "err", err)
			}
		},
	})
	if err != nil {
		return &Error{Code: CodeFailure, Name: "failure", Err: fmt.Errorf("set up daemon: %w", err)}
	}
	return nil
}

// run serves until ctx ends, which is no error.
func (x *exposure) run(ctx context.Context) error {
	unlock, err := x.m.dir.TryLock(daemonLockFile)
	if errors.Is(err, config.ErrLocked) {
		return errorf(CodeConfig, "already_running", "stop it first, or give this one a --state-dir of its own",
			"another culvert already exposes targets from %s", x.m.dir.Path())
	}
	if err != nil {
		return stateError(err)
	}
	defer unlock()
	audit, err := openChained(x.m.dir, daemonAuditFile)
	if err != nil {
		return err
	}
	defer audit.Close()
	x.acts = newActs(audit.logger(x.m.log))
	if err := x.assemble(ctx); err != nil {
		return err
	}
	x.mu.Lock()
	x.running = true
	err = x.links.SetHoldTime(x.o.HoldTime) // it may have changed since assemble
	x.mu.Unlock()
	if err != nil {
		return &Error{Code: CodeFailure, Name: "failure", Err: err}
	}
	x.clients.OnProblem(func(err error) {
		x.sink(Event{Time: time.Now(), Event: EventError, Code: "authorized_clients", Message: err.Error()})
	})
	x.acts.write(actStarted, "program", x.m.program, "daemon_key", x.m.identity.PublicKey().String())
	defer x.acts.write(actStopped)
	grants := &grantWatch{clients: x.clients, acts: x.acts}
	grants.look(time.Now())
	g, gctx := errgroup.WithContext(ctx)
	// The path outlives the links, so that their end reaches the clients.
	pathCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stop()
		return ended(gctx, x.links.Run(gctx))
	})
	g.Go(func() error { return x.daemon.Run(pathCtx) })
	g.Go(func() error {
		return x.clients.Watch(gctx, func() {
			x.applyGrants() // first: it is what may not wait
			grants.look(time.Now())
		})
	})
	g.Go(func() error { return x.renew(gctx) })
	g.Go(func() error {
		return (&endpoint.Watcher{}).Run(gctx, x.retryNow)
	})
	if err = g.Wait(); ctx.Err() != nil || err == nil {
		return nil
	}
	return classify(err)
}

// retryNow ends the pause between two attempts to reach the relay, on new connections; a
// relay that is connected has to show that it lives. Before run it does nothing.
func (x *exposure) retryNow() {
	if x.isRunning() {
		x.net.forget()
		x.daemon.Kick()
	}
}

// setHoldTime changes it for links that begin from now on. It is called by up's loop, after
// run has been started.
func (x *exposure) setHoldTime(d time.Duration) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.o.HoldTime = d
	if !x.running {
		return nil // run takes it from the options
	}
	return x.links.SetHoldTime(d)
}

func (x *exposure) isRunning() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.running
}
