package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// sideDoors are the listeners for operators, apart from the public one. nil: not wanted.
type sideDoors struct{ metrics, pprof net.Listener }

// openSideDoors opens what the options ask for. What the profiler shows is memory of this
// process, keys among it: it is for this machine only.
func openSideDoors(o RelayOptions) (d sideDoors, err error) {
	if o.Pprof != "" {
		host, _, err := net.SplitHostPort(o.Pprof)
		if err != nil || !isLoopbackHost(host) {
			return d, errorf(CodeUsage, "pprof", "such as --pprof 127.0.0.1:6060", "--pprof %q is not a loopback address", o.Pprof)
		}
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.metrics, err = openSideDoor("metrics", o.Metrics); err != nil {
		return d, err
	}
	d.pprof, err = openSideDoor("pprof", o.Pprof)
	return d, err
}

func openSideDoor(what, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, bindError(fmt.Sprintf("listen on %s for --%s", addr, what), err)
	}
	return ln, nil
}

func (d sideDoors) close() {
	for _, ln := range []net.Listener{d.metrics, d.pprof} {
		if ln != nil {
			_ = ln.Close() // nothing came through it that could be lost
		}
	}
}

// addrOf is a listener's address; empty if there is none.
func addrOf(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

// serveSide serves one of them until ctx ends.
func (h *hub) serveSide(ctx context.Context, ln net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // a scrape that is cut is made again
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pprofHandler serves the profiler. A page in a browser must not get at it by a name that
// leads to this machine.
func pprofHandler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/debug/pprof/", pprof.Index)
	m.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	m.HandleFunc("/debug/pprof/profile", pprof.Profile)
	m.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !isLoopbackHost(host) {
			http.Error(w, "ask by a loopback address", http.StatusForbidden)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// readyz says no as soon as the relay is going down, so that whoever balances load sends
// nobody any more; before that it is the control plane's answer.
func (h *hub) readyz(w http.ResponseWriter, r *http.Request) {
	if !h.draining.Load() {
		h.control.Handler().ServeHTTP(w, r)
		return
	}
	body, err := json.Marshal(map[string]string{"code": "unavailable", "message": "the relay is going down"})
	if err != nil {
		panic("service: " + err.Error()) // strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(append(body, '\n')) // who has left does not care
}

// promLog is a log for package promhttp.
type promLog struct{ log *slog.Logger }

func (l promLog) Println(v ...any) { l.log.Warn("metrics", "err", fmt.Sprint(v...)) }
