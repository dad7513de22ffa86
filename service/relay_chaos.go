package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"culvert/sbrp/chaos"
	"culvert/sbrp/wsconn"
)

// ChaosUsage explains RelayOptions.Chaos to people.
func ChaosUsage() string { return chaos.Usage() }

// chaosSpec reads RelayOptions.Chaos; nil: the relay is honest. One that cheats must not be taken for a real one by anybody
// else: it serves this machine alone, and nothing that others share.
func chaosSpec(o RelayOptions) (*chaos.Spec, error) {
	if o.Chaos == "" {
		return nil, nil
	}
	spec, err := chaos.Parse(o.Chaos)
	if err != nil {
		return nil, errorf(CodeUsage, "chaos", "culvert relay --chaos help", "read --chaos: %w", err)
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil || !isLoopbackHost(host) {
		return nil, errorf(CodeUsage, "chaos", "give --listen 127.0.0.1:0", "a relay with --chaos cheats, and listens on a loopback address only, not on %s", o.Listen)
	}
	for flag, given := range map[string]bool{
		"--public-url": o.PublicURL != "", "--node-url": o.NodeURL != "", "--domain": len(o.Domains) > 0, "--tls-cert": o.TLSCert != "",
		"--tls-key": o.TLSKey != "", "--behind-proxy": o.BehindProxy, "--db postgres://…": isPostgres(o.DB),
	} {
		if given {
			return nil, errorf(CodeUsage, "chaos", "leave one of them out", "a relay with --chaos is for this machine alone: it goes without %s", flag)
		}
	}
	return spec, nil
}

// serveCheating is serve with a hostile relay in front, on the listener that daemons and clients know.
func (h *hub) serveCheating(ctx context.Context, spec *chaos.Spec, ln net.Listener, doors sideDoors) error {
	honest, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return bindError("listen behind the hostile relay", err)
	}
	defer honest.Close()
	front := chaos.NewRelay(spec)
	front.LeadTo(honest.Addr().String())
	srv := &http.Server{
		Handler: front, ReadHeaderTimeout: h.limits.HeaderTimeout, MaxHeaderBytes: 16 << 10, Protocols: http1(),
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer front.Close()
		defer srv.Close() // the honest one has said to everybody that it goes down, or has failed
		return h.serve(gctx, honest, doors)
	})
	g.Go(func() error {
		err := srv.Serve(wsconn.NewListener(ln))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return errorf(CodeFailure, "relay", "", "serve: %w", err)
	})
	return g.Wait()
}
