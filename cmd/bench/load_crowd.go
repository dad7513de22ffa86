package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// crowdPass is one relay with a crowd of idle peers.
type crowdPass struct {
	count, storm int
	settle       time.Duration
	tls          bool
}

// crowd is what such a pass showed.
type crowd struct {
	crowdPass
	kept      int // daemons that stay while the sessions are there
	empty     usage
	daemons   usage // with count daemons
	before    usage // with kept daemons, before the sessions
	sessions  usage // with kept daemons and count sessions
	register  time.Duration
	daemonCPU time.Duration // of the relay, for all daemons to come online
	opened    opened
	openCPU   time.Duration // of the relay, for all sessions
	idle      time.Duration // how long idleCPU was measured
	idleCPU   time.Duration // of the relay meanwhile
	down      time.Duration // from the kill of the relay to the start of the next
	back      time.Duration // from the start of the process until all daemons are online
	serving   time.Duration // of that, until it listened
	stormCPU  time.Duration // of the relay meanwhile
	stormPeak int64         // bytes; of the relay
	calm      usage         // after the storm
}

// reserve is how many files a relay needs besides connections that stay: the store, listeners, and requests
// under way.
const reserve = 250

// crowd does one pass.
func (w *world) crowd(ctx context.Context, p crowdPass) (_ *crowd, err error) {
	c := &crowd{crowdPass: p, kept: min(p.count, fileLimit()-p.count-reserve)}
	if c.kept < max(1, p.storm) {
		return nil, fmt.Errorf("%d connections and more need a limit of open files above %d", 2*p.count, fileLimit())
	}
	r, err := newLoadedRelay(w, p.tls)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	daemons, err := w.startEnds(r, daemonRole)
	if err != nil {
		return nil, err
	}
	defer daemons.stop()
	clients, err := w.startEnds(r, clientRole)
	if err != nil {
		return nil, err
	}
	defer clients.stop()
	for _, step := range []func(context.Context, *loadedRelay, *endsProc, *endsProc) error{
		c.comeOnline, c.openSessions, c.holdSessions, c.restart,
	} {
		if err := step(ctx, r, daemons, clients); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// comeOnline measures daemons.
func (c *crowd) comeOnline(ctx context.Context, r *loadedRelay, daemons, _ *endsProc) (err error) {
	if c.empty, err = c.settled(ctx, r); err != nil {
		return err
	}
	r.w.say("%d daemons come online", c.count)
	cpu, began := r.cpu(), time.Now()
	if err := daemons.ask(ctx, nil, doDaemons, c.count); err != nil {
		return err
	}
	c.register, c.daemonCPU = time.Since(began), r.cpu()-cpu
	if c.daemons, err = c.settled(ctx, r); err != nil {
		return err
	}
	if c.daemons.daemons != c.count {
		return fmt.Errorf("the relay has %d daemons, want %d", c.daemons.daemons, c.count)
	}
	c.before = c.daemons
	if c.kept == c.count {
		return nil
	}
	if err := daemons.ask(ctx, nil, doKeep, c.kept); err != nil {
		return err
	}
	c.before, err = c.settled(ctx, r)
	return err
}

// openSessions measures how fast sessions come.
func (c *crowd) openSessions(ctx context.Context, r *loadedRelay, daemons, clients *endsProc) error {
	file := filepath.Join(r.dir, "daemons.json")
	if err := daemons.ask(ctx, nil, doList, file); err != nil {
		return err
	}
	r.w.say("%d sessions", c.count)
	cpu := r.cpu()
	err := clients.ask(ctx, &c.opened, doSessions, c.count, file)
	c.openCPU = r.cpu() - cpu
	return err
}

// holdSessions measures what they cost while they are idle, and that they still work.
func (c *crowd) holdSessions(ctx context.Context, r *loadedRelay, _, clients *endsProc) (err error) {
	cpu, began := r.cpu(), time.Now()
	if c.sessions, err = c.settled(ctx, r); err != nil {
		return err
	}
	c.idle, c.idleCPU = time.Since(began), r.cpu()-cpu
	if c.sessions.sessions != c.count || c.sessions.daemons != c.kept {
		return fmt.Errorf("the relay has %d sessions and %d daemons, want %d and %d", c.sessions.sessions, c.sessions.daemons, c.count, c.kept)
	}
	if err := clients.ask(ctx, nil, doCheck); err != nil {
		return err
	}
	return clients.ask(ctx, nil, doEnd)
}

// restart kills the relay and starts it anew.
func (c *crowd) restart(ctx context.Context, r *loadedRelay, daemons, _ *endsProc) error {
	if err := daemons.ask(ctx, nil, doKeep, c.storm); err != nil {
		return err
	}
	r.w.say("the relay is killed; %d daemons come back", c.storm)
	killed := time.Now()
	r.kill()
	if err := daemons.ask(ctx, nil, doOffline); err != nil {
		return err
	}
	began := time.Now()
	c.down = began.Sub(killed)
	if err := r.start(ctx); err != nil {
		return err
	}
	c.serving = time.Since(began)
	if err := daemons.ask(ctx, nil, doOnline, c.storm); err != nil {
		return err
	}
	c.back, c.stormCPU = time.Since(began), r.cpu()
	u, err := r.usage(ctx)
	if err != nil {
		return err
	}
	c.stormPeak = u.peak
	c.calm, err = c.settled(ctx, r)
	if err == nil && c.calm.daemons != c.storm {
		err = fmt.Errorf("the relay has %d daemons after the storm, want %d", c.calm.daemons, c.storm)
	}
	return err
}

// settled is the relay's memory after it has been left alone for a while, and what served the requests before has ended:
// that is when the number of goroutines stands still.
func (c *crowd) settled(ctx context.Context, r *loadedRelay) (usage, error) {
	if err := pause(ctx, c.settle); err != nil {
		return usage{}, err
	}
	u, err := r.usage(ctx)
	for same, looks := 0, 0; err == nil && same < stillLooks && looks < mostLooks; looks++ {
		if err = pause(ctx, stillPause); err != nil {
			break
		}
		before := u.goroutines
		if u, err = r.usage(ctx); u.goroutines == before {
			same++
		} else {
			same = 0
		}
	}
	return u, err
}

// The relay stands still when so many looks, so long apart, have shown the same; after the most it is taken as it is.
const (
	stillLooks = 3
	mostLooks  = 100
	stillPause = 100 * time.Millisecond
)

// endsProc is a process of the load role.
type endsProc struct {
	*proc
	asked int
}

func (w *world) startEnds(r *loadedRelay, part role) (*endsProc, error) {
	args := []string{roleLoad, r.url, r.adminKey()}
	if r.cert != "" {
		args = append(args, r.cert)
	}
	p, err := w.spawn(w.site.place(part), part, w.self, args...)
	return &endsProc{proc: p}, err
}

// ask has the process do something, waits for it and reads the answer into v unless that is nil.
func (p *endsProc) ask(ctx context.Context, v any, command ...any) error {
	line := strings.TrimSpace(fmt.Sprintln(command...))
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, p.lastWords())
	}
	p.asked++
	var answer string
	err := p.awaitFor(ctx, loadTimeout+startTime, func(lines []string) bool {
		if len(lines) < p.asked {
			return false
		}
		answer = lines[p.asked-1]
		return true
	})
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	text, ok := strings.CutPrefix(answer, "ok ")
	if !ok {
		return fmt.Errorf("%s: %s", line, answer)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal([]byte(text), v)
}
