package service

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"culvert/sbrp/control"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
)

// hub is relay and control plane as one HTTP handler.
type hub struct {
	relay   *relay.Server
	control *control.Server
	node    *control.Node // nil: there is no other
	door    *doorman
	limits  RelayLimits
	drain   time.Duration
	ping    func(context.Context) error // of the store
	log     *slog.Logger

	requests *prometheus.CounterVec // of the control plane
	draining atomic.Bool
}

func newHub(o RelayOptions, store *control.Store, publicURL string, audit *auditLog, node *control.Node) (*hub, error) {
	log := logger(o.Logger)
	h := &hub{node: node, log: log, ping: store.Ping, limits: o.Limits, drain: o.Drain, door: newDoorman(o.Limits.Waiting), requests: newRequests()}
	if o.BehindProxy {
		h.door.most = 0 // they are all the proxy's
	}
	believed, err := newProxies(o)
	if err != nil {
		return nil, err
	}
	ctl, err := control.New(control.Config{
		Store: store, PublicURL: publicURL, Node: node,
		RelayURL: func() string { return relayURL(publicURL) },
		Online:   func(id string) bool { return h.relay.Online(id) },
		Logger:   log,
		Audit:    audit.logger(log),

		RemoteAddr:  believed.remoteAddr(),
		MaxSessions: o.Limits.Sessions,
	})
	if err != nil {
		return nil, errorf(CodeConfig, "relay", "", "set up control plane: %w", err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Issuer: publicURL, Keys: ctl.Keys(), MaxAge: o.Limits.TokenAge, Logger: log})
	if err != nil {
		return nil, errorf(CodeConfig, "relay", "", "set up token verification: %w", err)
	}
	cfg := relay.Config{
		Verifier: verifier, Grace: o.Grace, Logger: log,
		Limits: o.Limits.relay(), RemoteAddr: believed.remoteAddr(), HandshakeTimeout: o.Limits.HandshakeTimeout,
		ClientQueue: int(o.Limits.ClientQueue), Budget: int64(min(o.Limits.QueueBudget, math.MaxInt64)),
	}
	if node != nil {
		cfg.Changed, cfg.Others = node.Changed, true
	}
	rel, err := relay.New(cfg)
	if err != nil {
		return nil, errorf(CodeConfig, "relay", "", "set up relay: %w", err)
	}
	h.control, h.relay = ctl, rel
	return h, nil
}

func (h *hub) handler() http.Handler {
	m := http.NewServeMux()
	m.Handle("/", promhttp.InstrumentHandlerCounter(h.requests, h.control.Handler())) // which answers unknown paths in JSON
	m.HandleFunc("/readyz", h.readyz)
	m.Handle("/{$}", h.relay)
	m.Handle("/relay", h.relay)
	return m
}

// serve blocks until ctx ends or the listener fails, and returns when every connection
// has been closed: they are told to go elsewhere first, while everything still answers.
func (h *hub) serve(ctx context.Context, ln net.Listener, doors sideDoors) error {
	srv := &http.Server{
		Handler: h.handler(),
		// Reading a request is bounded; a WebSocket has its own liveness after the upgrade.
		ReadHeaderTimeout: h.limits.HeaderTimeout,
		ReadTimeout:       3 * h.limits.HeaderTimeout,
		ConnState:         h.door.note,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
		// WebSockets upgrade HTTP/1.1 connections.
		Protocols: http1(),
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx by the drain
	defer end()
	g, gctx := errgroup.WithContext(life)
	g.Go(func() error {
		select {
		case <-ctx.Done():
			h.leave(gctx)
			end()
		case <-gctx.Done():
		}
		return nil
	})
	if doors.metrics != nil {
		g.Go(func() error { return h.serveSide(gctx, doors.metrics, h.metricsHandler()) })
	}
	if doors.pprof != nil {
		g.Go(func() error { return h.serveSide(gctx, doors.pprof, pprofHandler()) })
	}
	g.Go(func() error { return h.control.Run(gctx) })
	g.Go(func() error { return h.relay.Run(gctx) })
	if h.node != nil {
		g.Go(func() error { return h.node.Run(gctx, h.relay) })
	}
	g.Go(func() error {
		err := srv.Serve(ln)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	g.Go(func() error {
		<-gctx.Done()
		// Detached: the context that would bound it has just ended.
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			return srv.Close()
		}
		return nil
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return errorf(CodeFailure, "relay", "", "serve: %w", err)
	}
	return nil
}

// leave tells every connection to go elsewhere, and blocks until they have gone or the time
// for it is over.
func (h *hub) leave(ctx context.Context) {
	h.draining.Store(true)
	h.log.Info("going down", "over", h.drain)
	if h.node != nil {
		h.leaveNodes(ctx) // first: who is told to go asks where to
	}
	ctx, cancel := context.WithTimeout(ctx, h.drain+drainTimeout)
	defer cancel()
	h.relay.Drain(ctx, h.drain)
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}
