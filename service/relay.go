package service

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/config"
	"culvert/sbrp/control"
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
