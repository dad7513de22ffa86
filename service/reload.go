package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"culvert/tunnel"
)

const (
	// EventClosed: a forward has ended because the configuration no longer has it.
	EventClosed = "closed"
	// EventReloaded: a changed configuration has been applied; Message says what changed.
	EventReloaded = "reloaded"
)

// reloadTimeout bounds applying a changed configuration; only a new name takes more than
// milliseconds, which the control plane is asked for.
const reloadTimeout = renameTimeout + 10*time.Second

// reloadAnswer is what a process answers to POST /v1/reload.
type reloadAnswer struct {
	PID     int    `json:"pid"`
	File    string `json:"file"`
	Code    Code   `json:"code"` // 0: applied
	Name    string `json:"name,omitempty"`
	Message string `json:"message"` // what changed, or why nothing did; may have several lines
	Mend    string `json:"mend,omitempty"`
}

// Reloaded is a running `culvert up` that has applied its changed file.
type Reloaded struct {
	PID     int    `json:"pid"`
	File    string `json:"file"`
	Changed string `json:"changed"` // in words
}

// Reload makes every `culvert up` of the state directory apply its changed file. What the
// file no longer has ends, what is new in it is started, what is the same is not touched.
// A file with mistakes, or one that cannot be applied, changes nothing; the error says why.
func Reload(ctx context.Context, c Common) ([]Reloaded, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	answers, err := askAll(ctx, dir.Path(), http.MethodPost, "/v1/reload", reloadTimeout)
	if err != nil {
		return nil, err
	}
	var done []Reloaded
	var failed error
	for _, a := range answers {
		var r reloadAnswer
		switch {
		case a.err == nil && a.status == http.StatusNotFound:
			continue // it has no file
		case a.err == nil && a.status != http.StatusOK:
			a.err = errors.New(http.StatusText(a.status))
		case a.err == nil:
			a.err = json.Unmarshal(a.body, &r)
		}
		switch {
		case ctx.Err() != nil:
			return done, ctx.Err()
		case a.err != nil:
			failed = cmp.Or(failed, error(errorf(CodeFailure, "admin", "look at the running process", "process behind %s did not reload: %w", a.path, a.err)))
		case r.Code != CodeOK:
			failed = cmp.Or(failed, error(&Error{Code: r.Code, Name: r.Name, Err: errors.New(r.Message), Mend: r.Mend}))
		default:
			done = append(done, Reloaded{PID: r.PID, File: r.File, Changed: r.Message})
		}
	}
	if failed == nil && len(done) == 0 {
		failed = errorf(CodeFailure, "not_running", "culvert up", "no `culvert up` is running on %s", dir.Path())
	}
	return done, failed
}

// requestReload has the loop apply the file; it is called by the admin API.
func (u *up) requestReload(ctx context.Context) reloadAnswer {
	answer := make(chan reloadAnswer, 1) // the loop does not wait for one who has gone
	select {
	case u.requests <- reloadRequest{answer}:
	case <-ctx.Done():
		return u.refusal(ctx.Err())
	}
	select {
	case a := <-answer:
		return a
	case <-ctx.Done(): // who asked has gone, or the process ends
		return reloadAnswer{PID: u.p.pid(), File: u.path, Code: CodeFailure, Name: "admin", Message: "the reload has begun and is not waited for"}
	}
}

// reload applies the file as it is now, or says why nothing is changed.
func (u *up) reload(ctx context.Context) reloadAnswer {
	next, err := loadPlan(u.path)
	var c *change
	if err == nil {
		c, err = u.prepare(ctx, next)
	}
	if err != nil {
		a := u.refusal(err)
		u.sink(Event{Time: time.Now(), Event: EventError, Code: a.Name, Message: a.Message, Mend: a.Mend})
		return a
	}
	u.beLenient()
	u.commit(ctx, c)
	if u.o.Applied != nil {
		u.o.Applied(next.file)
	}
	u.p.mu.Lock()
	u.p.reloaded = time.Now()
	u.p.mu.Unlock()
	text := c.summary.String()
	u.sink(Event{Time: time.Now(), Event: EventReloaded, Message: text})
	return reloadAnswer{PID: u.p.pid(), File: u.path, Message: text}
}

// refusal says that nothing has changed, and why.
func (u *up) refusal(err error) reloadAnswer {
	e := classify(err)
	return reloadAnswer{
		PID: u.p.pid(), File: u.path, Code: e.Code, Name: e.Name, Mend: e.Mend,
		Message: "not reloaded, nothing is changed: " + e.Error(), // for people
	}
}

// settings says which settings of the new file are others.
func (u *up) settings(next *plan) []string {
	if u.plan == nil {
		return nil
	}
	var notes []string
	was, is := u.plan.file, next.file
	if u.plan.hold != next.hold {
		notes = append(notes, "hold_time changed, for links that begin from now on")
	}
	if was.LogLevel.Text != is.LogLevel.Text || was.LogFormat.Text != is.LogFormat.Text {
		notes = append(notes, "log settings changed, where the command line does not say otherwise")
	}
	return notes
}

// changes counts what a change does.
type changes struct {
	forwards, targets counts
	notes             []string
}

type counts struct{ same, changed, added, removed int }

// countForwards compares what runs with what will. A forward to the same target at another
// local address, or with another when_held, has changed.
func (s *changes) countForwards(have []*listener, c *change) {
	var next []*listener
	for _, d := range c.daemons {
		next = append(next, d.next...)
	}
	var gone, fresh []string
	what := func(l *listener) string { return l.f.o.daemon + " " + l.spec.Target }
	for _, l := range have {
		if slices.Contains(next, l) {
			s.forwards.same++
		} else {
			gone = append(gone, what(l))
		}
	}
	for _, l := range c.fresh {
		fresh = append(fresh, what(l))
	}
	s.forwards.pair(gone, fresh)
}

func (s *changes) countTargets(have, next []tunnel.Target) {
	var gone, fresh []string
	for _, t := range have {
		if slices.Contains(next, t) {
			s.targets.same++
		} else {
			gone = append(gone, t.Name)
		}
	}
	for _, t := range next {
		if !slices.Contains(have, t) {
			fresh = append(fresh, t.Name)
		}
	}
	s.targets.pair(gone, fresh)
}

// pair counts as changed what has gone and come under one name.
func (n *counts) pair(gone, fresh []string) {
	for _, name := range gone {
		if i := slices.Index(fresh, name); i >= 0 {
			fresh = slices.Delete(fresh, i, i+1)
			n.changed++
		} else {
			n.removed++
		}
	}
	n.added += len(fresh)
}

// String says what changed in words.
func (s changes) String() string {
	parts := append([]string{"forwards: " + s.forwards.String(), "targets: " + s.targets.String()}, s.notes...)
	return strings.Join(parts, "; ")
}

func (n counts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{n.same, "unchanged"}, {n.changed, "changed"}, {n.added, "added"}, {n.removed, "removed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
