package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/config"
	"culvert/tunnel"
)

// demoTimeout bounds how long the demo's parts may take to come up.
const demoTimeout = 30 * time.Second

// Demo runs relay, control plane, daemon, client and a sample web page in one process on
// loopback: the same code and the same steps as on three machines, pairing included, in
// temporary state directories. It blocks until ctx ends, or with Once until the page has
// been fetched through the tunnel and compared.
func Demo(ctx context.Context, o DemoOptions, sink Sink) error {
	tmp, err := os.MkdirTemp("", "culvert-demo-")
	if err != nil {
		return &Error{Code: CodeFailure, Name: "demo", Err: err}
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &demo{o: o, tmp: tmp, started: time.Now()}
	d.sink = serial(func(e Event) {
		if ctx.Err() == nil { // all parts end at once then: that is no news
			sink(e)
		}
	})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := d.script(gctx, g)
		if err != nil || o.Once {
			cancel()
		}
		return err
	})
	err = g.Wait()
	if d.failed != nil {
		return d.failed
	}
	if err != nil {
		return classify(err)
	}
	return nil
}

type demo struct {
	o       DemoOptions
	tmp     string
	sink    Sink
	started time.Time
	failed  error // the script's own error, before what it made fail by stopping
}

func (d *demo) common(role string) Common {
	return Common{StateDir: filepath.Join(d.tmp, role), Program: d.o.Program, Logger: d.o.Logger}
}

// script is what a user does, in order. Long-running parts are started in g.
func (d *demo) script(ctx context.Context, g *errgroup.Group) (err error) {
	defer func() {
		if ctx.Err() == nil {
			d.failed = err
		}
	}()
	page, err := startPage(ctx, g)
	if err != nil {
		return err
	}
	relay, err := started(ctx, g, "relay", func(ready func(RelayInfo)) error {
		return RunRelay(ctx, RelayOptions{Common: d.common("relay"), Listen: "127.0.0.1:0", Ready: ready}, d.sink)
	})
	if err != nil {
		return err
	}
	if err := d.login(ctx, relay); err != nil {
		return err
	}
	_, err = started(ctx, g, "daemon", func(ready func(struct{})) error {
		return Expose(ctx, ExposeOptions{
			Common: d.common("daemon"), Name: "demo", Targets: []tunnel.Target{page.target},
			Ready: func() { ready(struct{}{}) },
		}, d.sink)
	})
	if err != nil {
		return err
	}
	paired, err := d.pair(ctx, relay)
	if err != nil {
		return err
	}
	addr, err := d.forward(ctx, g)
	if err != nil {
		return err
	}
	info := DemoInfo{
		URL: "http://" + addr + "/", DirectURL: page.url, Relay: relay.URL,
		Started: time.Since(d.started), Fingerprint: paired.Fingerprint,
	}
	if d.o.Once {
		if info.Fetched, err = fetchAndCompare(ctx, info.URL, page.url); err != nil {
			return err
		}
	}
	if d.o.Ready != nil {
		d.o.Ready(info)
	}
	return nil
}

// login enrols the daemon's machine; the client comes as a guest, by its pairing code.
func (d *demo) login(ctx context.Context, relay RelayInfo) error {
	_, key, err := CreateKey(ctx, KeyStoreOptions{Common: d.common("relay")}, KeySpec{Name: "demo", Scopes: []string{"daemon"}})
	if err != nil {
		return err
	}
	_, err = Login(ctx, LoginOptions{Common: d.common("daemon"), URL: relay.URL, APIKey: config.NewSecret(key), Name: "demo"})
	return err
}

func (d *demo) pair(ctx context.Context, relay RelayInfo) (Paired, error) {
	code, err := MakePairing(ctx, PairOptions{Common: d.common("daemon")})
	if err != nil {
		return Paired{}, err
	}
	return RedeemPairing(ctx, RedeemOptions{Common: d.common("client"), Code: code.Code, URL: relay.URL})
}

func (d *demo) forward(ctx context.Context, g *errgroup.Group) (addr string, err error) {
	listen := d.o.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	spec, err := tunnel.ParseForward(listen + ":web")
	if err != nil {
		return "", &Error{Code: CodeUsage, Name: "listen", Err: err}
	}
	bound := make(chan string, 1)
	_, err = started(ctx, g, "forward", func(ready func(struct{})) error {
		return Forward(ctx, ForwardOptions{
			Common: d.common("client"), Daemon: "demo", Forwards: []tunnel.ForwardSpec{spec},
			Ready: func() { ready(struct{}{}) },
		}, func(e Event) {
			if e.Event == EventListening {
				bound <- e.Addr
			}
			d.sink(e)
		})
	})
	if err != nil {
		return "", err
	}
	return <-bound, nil
}

// started runs a long-running part in g and waits until it is ready or has failed.
func started[T any](ctx context.Context, g *errgroup.Group, what string, run func(ready func(T)) error) (T, error) {
	ready, ended := make(chan T, 1), make(chan error, 1)
	g.Go(func() error {
		err := run(func(v T) { ready <- v })
		ended <- err
		return err
	})
	timer := time.NewTimer(demoTimeout)
	defer timer.Stop()
	var none T
	select {
	case v := <-ready:
		return v, nil
	case err := <-ended:
		if err == nil {
			err = errorf(CodeFailure, "demo", "", "the %s ended before it was ready", what)
		}
		return none, err
	case <-timer.C:
		return none, errorf(CodeFailure, "demo", "run it with -v to see why", "the %s was not ready after %v", what, demoTimeout)
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// page is the sample web page, served on loopback: it is what a developer's local server
// stands for.
type page struct {
	target tunnel.Target
	url    string
}

const pageHTML = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>culvert demo</title>
<style>body{font:18px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}</style>
<h1>It works</h1>
<p>This page came from a local web server through a daemon, a relay that could not read it,
and a client, all in one process.</p>
`

func startPage(ctx context.Context, g *errgroup.Group) (page, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return page{}, bindError("listen for the sample page", err)
	}
	target, err := tunnel.ParseTarget("web=" + ln.Addr().String())
	if err != nil {
		_ = ln.Close() // never used
		return page{}, err
	}
	srv := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, pageHTML) // the browser has gone
		}),
	}
	g.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // makes Serve return
		defer stop()
		_ = srv.Serve(ln) // always ErrServerClosed, or the listener failed: the fetch will tell
		return nil
	})
	return page{target: target, url: "http://" + ln.Addr().String() + "/"}, nil
}

// fetchAndCompare gets the page both ways; the bytes must be equal.
func fetchAndCompare(ctx context.Context, tunnelled, direct string) (FetchResult, error) {
	want, err := fetch(ctx, direct)
	if err != nil {
		return FetchResult{}, err
	}
	got, err := fetch(ctx, tunnelled)
	if err != nil {
		return FetchResult{}, err
	}
	if got.SHA256 != want.SHA256 {
		return got, errorf(CodeFailure, "demo", "", "the page through the tunnel differs: %d bytes %s, directly %d bytes %s", got.Bytes, got.SHA256, want.Bytes, want.SHA256)
	}
	return got, nil
}

func fetch(ctx context.Context, url string) (FetchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return FetchResult{}, err
	}
	// No proxy: both addresses are loopback.
	tr := &http.Transport{DisableKeepAlives: true}
	begin := time.Now()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return FetchResult{}, fmt.Errorf("fetch the page: %w", err)
	}
	defer resp.Body.Close()
	r := FetchResult{FirstByte: time.Since(begin)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return FetchResult{}, fmt.Errorf("fetch the page: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return FetchResult{}, fmt.Errorf("fetch the page: %s", resp.Status)
	}
	sum := sha256.Sum256(body)
	r.Bytes, r.SHA256, r.Total = len(body), hex.EncodeToString(sum[:]), time.Since(begin)
	return r, nil
}
