package service

import (
	"context"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// process is one long-running command on a state directory: a relay, or at most one
// exposure and forwards to any number of daemons. It answers at its admin socket.
type process struct {
	m       *machine
	command string
	file    string // up: the configuration file
	started time.Time
	sink    Sink
	// reload applies the configuration file; nil: there is none.
	reload func(context.Context) reloadAnswer
	relay  func() *RelayStatus // nil: it is none

	mu          sync.Mutex // guards what follows
	reloaded    time.Time
	exposure    *exposure
	forwardings []*forwarding // in the user's order
}

// newProcess belongs to a machine, which the caller closes after run.
func newProcess(m *machine, command string, sink Sink) *process {
	return &process{m: m, command: command, started: time.Now(), sink: serial(sink)}
}

// set says what the process consists of from now on.
func (p *process) set(x *exposure, fs ...*forwarding) {
	p.mu.Lock()
	p.exposure, p.forwardings = x, fs
	p.mu.Unlock()
}

func (p *process) parts() (*exposure, []*forwarding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exposure, p.forwardings
}

// run runs the work and answers at the admin socket meanwhile. A process without a socket,
// where the file system can have none, works too: only `culvert status` does not see it.
func (p *process) run(ctx context.Context, work func(context.Context) error) error {
	admin, err := listenAdmin(p.m.dir, p.m.log)
	if err != nil {
		p.sink(Event{
			Time: time.Now(), Event: EventError, Code: "admin_socket", Message: "open the admin socket: " + err.Error(), // for people
			Mend: "`culvert status` and `culvert reload` do not see this process; grants apply within a second",
		})
	}
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error {
		defer stop()
		return work(gctx)
	})
	if admin != nil {
		defer admin.Close()
		g.Go(func() error {
			if err := admin.serve(gctx, p.handler()); err != nil {
				p.m.log.Warn("admin socket ended", "err", err) // the work is worth more
			}
			return nil
		})
	}
	if p.m.beat != nil && p.m.every > 0 {
		g.Go(func() error { return p.beat(gctx) })
	}
	return g.Wait()
}

// beat tells a watchdog that the process lives for as long as it can say what it does, for
// which it needs every lock that its parts have.
func (p *process) beat(ctx context.Context) error {
	tick := time.NewTicker(p.m.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.status()
			p.m.beat()
		}
	}
}

// handler is the admin API. Its paths and fields are between processes of one machine, but
// maybe of two versions: fields are only ever added.
func (p *process) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.status()) })
	// Grants live in the state directory; a command that has changed them says so here
	// instead of waiting for the next look at the file.
	m.HandleFunc("POST /v1/grants/apply", func(w http.ResponseWriter, _ *http.Request) {
		if x, _ := p.parts(); x != nil {
			x.applyGrants()
		}
		writeJSON(w, p.status())
	})
	if p.m.command != nil {
		m.HandleFunc("POST /v1/command", p.serveCommand)
	}
	m.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		if p.reload == nil {
			http.NotFound(w, r)
			return
		}
		// The errors of both say that the connection is gone.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(reloadTimeout))
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTimeout))
		writeJSON(w, p.reload(r.Context()))
	})
	return m
}

func (p *process) pid() int { return os.Getpid() }

// status is what GET /v1/status answers.
func (p *process) status() ProcessStatus {
	p.mu.Lock()
	x, fs, reloaded := p.exposure, p.forwardings, p.reloaded
	p.mu.Unlock()
	st := ProcessStatus{
		PID: os.Getpid(), Command: p.command, Program: p.m.program, Started: Stamp{p.started},
		Config: p.file, Reloaded: Stamp{reloaded},
	}
	if p.relay != nil {
		st.Relay = p.relay()
	}
	if x != nil {
		x.addStatus(&st)
	}
	for _, f := range fs {
		f.addStatus(&st)
	}
	return st
}
