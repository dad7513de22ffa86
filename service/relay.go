package service

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"culvert/config"
	"culvert/sbrp/control"
	"culvert/sbrp/relay"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

const (
	adminKeyFile = "admin.key"
	relayDBFile  = "relay.db"
	// shutdownTimeout bounds how long a stopping relay waits for HTTP requests under way.
	shutdownTimeout = 5 * time.Second
	// drainTimeout is how long the last connection that was told to go may take.
	drainTimeout = 5 * time.Second
	// drainNotice bounds how long a stopping node tries to tell the others.
	drainNotice = 2 * time.Second
)

// RunRelay serves the data plane and the control plane on one listener until ctx ends.
// On the first start it makes an admin API key and writes it to STATE/admin.key.
func RunRelay(ctx context.Context, o RelayOptions, sink Sink) error {
	dir, err := openDir(o.StateDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if o.Limits, err = o.Limits.withDefaults(); err != nil {
		return err
	}
	spec, err := chaosSpec(o)
	if err != nil {
		return err
	}
	tlsConfig, err := relayTLS(o)
	if err != nil {
		return err
	}
	// Before it listens: who comes while the database is away is refused and tries again.
	store, err := waitForStore(ctx, dir, o, sink)
	if store == nil {
		return err
	}
	defer store.Close()
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return bindError("listen on "+o.Listen, err)
	}
	defer ln.Close()
	var ac *acme // nil: there are certificate files, or none
	if len(o.Domains) > 0 {
		if ac, err = newACME(o, ln.Addr()); err != nil {
			return err
		}
		defer ac.stop()
		tlsConfig = ac.tls()
	}
	doors, err := openSideDoors(o)
	if err != nil {
		return err
	}
	defer doors.close()
	publicURL, err := relayPublicURL(o, ln.Addr(), tlsConfig != nil)
	if err != nil {
		return err
	}
	first, err := ensureAdminKey(ctx, dir, store)
	if err != nil {
		return err
	}
	audit, err := openAudit(dir)
	if err != nil {
		return err
	}
	defer audit.Close()
	node, err := newNode(o, store, publicURL)
	if err != nil {
		return err
	}
	h, err := newHub(o, store, publicURL, audit, node)
	if err != nil {
		return err
	}
	if tlsConfig != nil {
		ln = tls.NewListener(wsconn.NewListener(ln), tlsConfig) // below TLS: one write per message
	}
	if node != nil {
		if err := node.Join(ctx); err != nil { // before the first daemon can be sent here
			return errorf(CodeConfig, "store", "", "%w", err)
		}
	}
	info := RelayInfo{
		URL: publicURL, Addr: ln.Addr().String(),
		KeyFile: filepath.Join(dir.Path(), adminKeyFile), FirstRun: first,
		Metrics: addrOf(doors.metrics), Pprof: addrOf(doors.pprof),
	}
	if spec != nil {
		info.Chaos = spec.String()
	}
	p := newProcess(&machine{dir: dir, program: o.Program, log: h.log, beat: o.Beat, every: o.BeatEvery, command: o.Command}, "relay", sink)
	p.relay = func() *RelayStatus { return h.status(info) }
	online := func() {
		p.sink(Event{Time: time.Now(), Event: EventOnline, URL: info.URL, Addr: info.Addr})
		if o.Ready != nil {
			o.Ready(info)
		}
	}
	return p.run(ctx, func(ctx context.Context) error {
		switch {
		case spec != nil:
			online()
			return h.serveCheating(ctx, spec, ln, doors)
		case ac == nil:
			online()
			return h.serve(ctx, ln, doors)
		}
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() error { return h.serve(gctx, ln, doors) })
		g.Go(func() error { // while it serves: the authority tries it
			if ac.obtain(gctx, p.sink) {
				online()
			}
			return nil
		})
		return g.Wait()
	})
}

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

// relayTLS loads the certificate. Without one, only loopback may be served, or a proxy in
// front must do TLS.
func relayTLS(o RelayOptions) (*tls.Config, error) {
	if err := checkACME(o); err != nil || len(o.Domains) > 0 {
		return nil, err // newACME makes it, for the listener
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return nil, errorf(CodeUsage, "tls", "give both --tls-cert and --tls-key", "only one of certificate and key was given")
	}
	if o.TLSCert != "" {
		files, err := newCertFiles(o.TLSCert, o.TLSKey, logger(o.Logger))
		if err != nil {
			return nil, errorf(CodeConfig, "tls", "check that both files are PEM and belong together", "%w", err)
		}
		return serverTLS(files.get), nil
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, errorf(CodeUsage, "listen", "write --listen as HOST:PORT, such as 127.0.0.1:8443 or :8443", "read --listen %q: %w", o.Listen, err)
	}
	if !o.BehindProxy && !isLoopbackHost(host) {
		return nil, errorf(CodeUsage, "tls",
			"give --domain, or --tls-cert and --tls-key, or --behind-proxy when a proxy in front does TLS, or --listen 127.0.0.1:8443",
			"refusing to serve %s without TLS", o.Listen)
	}
	return nil, nil
}

// serverTLS prefers TLS 1.3, as the library does, and accepts 1.2. WebSockets upgrade
// HTTP/1.1 connections.
func serverTLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// relayPublicURL is what daemons and clients are told. Only a loopback listener can be
// named without being told how others see it.
func relayPublicURL(o RelayOptions, addr net.Addr, withTLS bool) (string, error) {
	if o.PublicURL != "" {
		return checkBaseURL("public_url", "--public-url", o.PublicURL)
	}
	if len(o.Domains) > 0 {
		return "https://" + o.Domains[0], nil // the authority wants port 443
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "", errorf(CodeFailure, "listen", "", "read listener address: %w", err)
	}
	if !isLoopbackHost(host) {
		return "", errorf(CodeUsage, "public_url", "give --public-url https://relay.example.org, as clients will reach it", "listening on %s, but under which URL will clients see it?", addr)
	}
	scheme := "http"
	if withTLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// checkBaseURL checks a URL that others are told and returns it without a path.
func checkBaseURL(name, flag, text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", errorf(CodeUsage, name, "write it as https://relay.example.org", "%s %q is not a base URL", flag, text)
	}
	if u.Scheme == "http" && !isLoopbackHost(u.Hostname()) {
		return "", errorf(CodeUsage, name, "use https://", "%s %q is without TLS", flag, text)
	}
	return u.Scheme + "://" + u.Host, nil
}

// relayURL is the WebSocket URL of the relay behind a public URL.
func relayURL(publicURL string) string {
	return "ws" + strings.TrimPrefix(publicURL, "http") + "/relay"
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// ensureAdminKey makes the first admin key when the store has no key at all.
func ensureAdminKey(ctx context.Context, dir *config.Dir, store *control.Store) (first bool, err error) {
	_, secret, err := store.CreateFirstKey(ctx, control.KeySpec{Name: "first admin key", Scopes: []string{"admin"}})
	if err != nil {
		return false, errorf(CodeConfig, "store", "", "make admin key: %w", err)
	}
	if secret == "" {
		return false, nil
	}
	if err := dir.WriteSecret(adminKeyFile, []byte(secret+"\n")); err != nil {
		return false, errorf(CodeConfig, "state_dir", "", "write admin key: %w", err)
	}
	return true, nil
}
