package service

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"culvert/config"
)

// UpOptions run what a configuration file says.
type UpOptions struct {
	Common
	File    string    // empty: config.yaml in the state directory
	Replace bool      // as ExposeOptions.Replace
	Trust   TrustFunc // as ForwardOptions.Trust
	// Reload applies the changed file at each value, as SIGHUP does; nil is allowed.
	Reload <-chan os.Signal
	// Applied is told of each changed file that was applied, before the event that says so;
	// nil is allowed.
	Applied func(*config.File)
	// Ready is called once, when everything in the file is ready; nil is allowed.
	Ready func()
}

// Up exposes the targets and binds the forwards of a configuration file, in one process,
// until ctx ends, which is no error. Until everything has been ready once, what cannot
// heal by itself ends it. After that, such a failure ends the part that it concerns (the
// exposure, or the forwards to one daemon), and the process when nothing else is left: the
// connections of the other parts are worth keeping.
func Up(ctx context.Context, o UpOptions, sink Sink) error {
	path, err := filepath.Abs(configPath(o.StateDir, o.File))
	if err != nil {
		return stateError(err)
	}
	first, err := loadPlan(path)
	if err != nil {
		return err
	}
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return err
	}
	defer m.close()
	u := &up{
		o: o, m: m, p: newProcess(m, "up", sink), path: path,
		wake: make(chan struct{}, 1), requests: make(chan reloadRequest), forwards: map[string]*part{},
	}
	u.sink = u.p.sink
	u.p.file, u.p.reload = path, u.requestReload
	next, err := u.prepare(ctx, first)
	if err != nil {
		return classify(err)
	}
	return u.p.run(ctx, func(ctx context.Context) error { return u.run(ctx, next) })
}

// up is a running `culvert up`.
type up struct {
	o        UpOptions
	m        *machine
	p        *process
	sink     Sink
	path     string
	wake     chan struct{}      // one slot: a part has become ready or has ended
	requests chan reloadRequest // for the loop

	// Owned by run's loop.
	plan     *plan
	exposure *part            // nil: no targets
	forwards map[string]*part // by daemon
	told     bool             // Ready was called
	lenient  bool             // see Up
}

type reloadRequest struct {
	answer chan<- reloadAnswer
}

// part is an exposure or the forwards to one daemon, running.
type part struct {
	x     *exposure
	f     *forwarding
	stop  context.CancelFunc
	done  chan struct{}
	err   error // valid when done is closed
	over  bool  // its end has been told; owned by the loop
	ready atomic.Bool
}

// alive tells whether the part runs. It is called by the loop.
func (p *part) alive() bool { return p != nil && !p.over }

// end ends the part and waits for that.
func (p *part) end() {
	p.stop()
	<-p.done
	p.over = true
}

// run starts the parts and looks after them.
func (u *up) run(ctx context.Context, first *change) error {
	ctx, cancel := context.WithCancel(ctx)
	defer u.endAll()
	defer cancel()
	u.commit(ctx, first)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-u.wake:
			if err := u.look(); err != nil {
				return err
			}
		case r := <-u.requests:
			r.answer <- u.reload(ctx)
		case <-u.o.Reload:
			u.kick()
			u.reload(ctx)
		}
	}
}

// endAll waits for all parts; their context has ended.
func (u *up) endAll() {
	for _, p := range u.parts() {
		p.end()
	}
}

// parts are all parts, those that have ended too.
func (u *up) parts() []*part {
	var all []*part
	if u.exposure != nil {
		all = append(all, u.exposure)
	}
	for _, p := range u.forwards {
		all = append(all, p)
	}
	return all
}

// kick makes everything that waits for its next attempt try at once.
func (u *up) kick() {
	for _, p := range u.parts() {
		switch {
		case !p.alive():
		case p.f != nil:
			p.f.client.retryNow()
		default:
			p.x.retryNow()
		}
	}
}

// start runs a part beside the others.
func (u *up) start(ctx context.Context, p *part, run func(context.Context) error) {
	ctx, p.stop = context.WithCancel(ctx)
	p.done = make(chan struct{})
	go u.runPart(ctx, p, run) // end waits for it
}

func (u *up) runPart(ctx context.Context, p *part, run func(context.Context) error) {
	p.err = run(ctx)
	p.stop()
	close(p.done)
	u.rouse()
}

// rouse makes the loop look at the parts.
func (u *up) rouse() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// look tells when everything is ready, and what has ended. The error ends the process.
func (u *up) look() error {
	ready, alive := true, 0
	var failed *Error
	for _, p := range u.parts() {
		if !p.over {
			select {
			case <-p.done:
				p.over = true
				e := classify(p.err)
				if e == nil { // ctx has ended, and with it the loop
					continue
				}
				if !u.lenient {
					return e
				}
				u.tellFailed(p, e)
			default:
			}
		}
		ready = ready && p.ready.Load() && !p.over
		if p.over {
			failed = classify(p.err)
		} else {
			alive++
		}
	}
	if alive == 0 && failed != nil {
		return failed
	}
	if ready && !u.told {
		u.told = true
		u.beLenient()
		if u.o.Ready != nil {
			u.o.Ready()
		}
	}
	return nil
}

// beLenient keeps what runs when something else fails.
func (u *up) beLenient() {
	u.lenient = true
	for _, p := range u.forwards {
		p.f.bePatient()
	}
}

// tellFailed says that a part has ended for good.
func (u *up) tellFailed(p *part, e *Error) {
	ev := Event{Time: time.Now(), Event: EventError, Code: e.Name, Message: e.Error(), Mend: e.Mend, Final: true}
	if p.f != nil {
		ev.Daemon = p.f.o.daemon
		p.f.mu.Lock()
		p.f.failed = e
		p.f.mu.Unlock()
	} else {
		p.x.mu.Lock()
		p.x.failed = e
		p.x.mu.Unlock()
	}
	u.sink(ev)
}

// publish tells status what there is, in the file's order.
func (u *up) publish() {
	var x *exposure
	if u.exposure != nil {
		x = u.exposure.x
	}
	var fs []*forwarding
	for _, d := range u.plan.daemons {
		fs = append(fs, u.forwards[d.name].f)
	}
	u.p.set(x, slices.Clip(fs)...)
}
