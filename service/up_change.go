package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"culvert/mux"
	"culvert/sbrp/api"
	"culvert/tunnel"
)

// renameTimeout bounds asking the control plane for another name.
const renameTimeout = 30 * time.Second

// change leads from what runs to what a plan says. Whatever can fail is done before any of
// what runs is touched.
type change struct {
	plan     *plan
	exposure *exposure       // to be started; nil: none, or the running one stays
	targets  *tunnel.Targets // the running exposure's new ones
	daemons  []daemonChange
	fresh    []*listener // bound or to be bound
	summary  changes
}

// daemonChange is the new set of forwards of one daemon.
type daemonChange struct {
	name string
	old  *part       // nil: the daemon is new, or its part has ended
	f    *forwarding // old's, or a new one
	next []*listener // of f: kept and fresh ones
}

// prepare makes everything for the plan that can fail: it parses, binds what has a port
// of its own, and asks for a new name. An error leaves everything as it was.
func (u *up) prepare(ctx context.Context, next *plan) (_ *change, err error) {
	c := &change{plan: next}
	defer func() {
		if err != nil {
			c.undo()
		}
	}()
	if err := u.prepareForwards(c); err != nil {
		return nil, err
	}
	if err := u.bindFresh(c); err != nil {
		return nil, err
	}
	if err := u.prepareExposure(ctx, c); err != nil {
		return nil, err
	}
	if err := mux.CheckHoldTime(next.hold); err != nil {
		return nil, errorf(CodeConfig, "config", "write hold_time as 1s to 24h", "%s: %w", next.file.Path, err)
	}
	c.summary.notes = u.settings(next)
	return c, nil
}

// undo frees what was bound.
func (c *change) undo() {
	for _, l := range c.fresh {
		l.abandon()
	}
}

// prepareForwards finds which listeners stay and makes those that do not exist.
func (u *up) prepareForwards(c *change) error {
	for _, d := range c.plan.daemons {
		dc := daemonChange{name: d.name}
		var have []*listener
		if p := u.forwards[d.name]; p.alive() {
			dc.old, dc.f, have = p, p.f, p.f.list()
		} else {
			f, err := newForwarding(u.m, forwardingOptions{
				daemon: d.name, trust: u.o.Trust, holdTime: c.plan.hold,
			}, u.sink)
			if err != nil {
				return err
			}
			dc.f = f
		}
		for _, pf := range d.forwards {
			i := slices.IndexFunc(have, func(l *listener) bool { return l.spec == pf.spec && l.refuseHeld == pf.refuseHeld })
			if i >= 0 {
				dc.next = append(dc.next, have[i])
				continue
			}
			l := newListener(dc.f, pf.spec, pf.refuseHeld)
			dc.next, c.fresh = append(dc.next, l), append(c.fresh, l)
		}
		c.daemons = append(c.daemons, dc)
	}
	c.summary.countForwards(u.running(), c)
	return nil
}

// running are the listeners that there are.
func (u *up) running() []*listener {
	var all []*listener
	for _, p := range u.forwards {
		if p.alive() {
			all = append(all, p.f.list()...)
		}
	}
	return all
}

// bindFresh binds what is new. An address that one of this process's own listeners has,
// which the change ends, is bound after that.
func (u *up) bindFresh(c *change) error {
	for _, l := range c.fresh {
		err := l.bindFixed()
		if err == nil {
			continue
		}
		be, ok := errors.AsType[*tunnel.BindError](err)
		if !ok || be.Kind != tunnel.BindBusy || !u.frees(c, l) {
			return err
		}
	}
	return nil
}

// frees tells whether the change ends a listener that may be in the way of l.
func (u *up) frees(c *change, l *listener) bool {
	return slices.ContainsFunc(u.running(), func(old *listener) bool {
		stays := slices.ContainsFunc(c.daemons, func(d daemonChange) bool { return slices.Contains(d.next, old) })
		return !stays && old.spec.Network == l.spec.Network && old.boundPort() == l.spec.Port && old.spec.Path == l.spec.Path
	})
}

// prepareExposure makes the exposure, or finds what is new for the one that runs.
func (u *up) prepareExposure(ctx context.Context, c *change) error {
	targets, err := tunnel.NewTargets(c.plan.targets...)
	if err != nil {
		return &Error{Code: CodeConfig, Name: "config", Err: err}
	}
	var old []tunnel.Target
	if u.exposure.alive() {
		old = u.exposure.x.exposer.Targets().List()
	}
	c.summary.countTargets(old, c.plan.targets)
	switch {
	case len(c.plan.targets) == 0:
		return nil
	case !u.exposure.alive():
		c.exposure, err = newExposure(u.m, ExposeOptions{
			Common: u.o.Common, Name: c.plan.name, Replace: u.o.Replace, Targets: c.plan.targets, HoldTime: c.plan.hold,
		}, u.sink)
		return err
	}
	c.targets = targets
	x := u.exposure.x
	if name := x.nameOr(c.plan.name); name != x.called() {
		if err := x.rename(ctx, name); err != nil {
			return classify(err)
		}
	}
	return nil
}

// rename asks the control plane for another name; the daemon keeps its id.
func (x *exposure) rename(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, renameTimeout)
	defer cancel()
	_, err := x.api.Register(ctx, api.RegisterRequest{
		IdentityPublicKey: x.m.identity.PublicKey(), Name: name, Replace: x.o.Replace,
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.name = name
	x.mu.Unlock()
	return nil
}

// commit applies the change. Nothing in it fails: a local port that has been taken
// meanwhile is tried again.
func (u *up) commit(ctx context.Context, c *change) {
	before := u.plan
	u.plan = c.plan
	keep := map[string]bool{}
	for _, d := range c.daemons {
		keep[d.name] = true
	}
	// What goes, goes first: another forward may want its address.
	for name, p := range u.forwards {
		if !keep[name] {
			p.endForwards()
			delete(u.forwards, name)
		}
	}
	for _, d := range c.daemons {
		if d.old == nil {
			continue
		}
		d.f.bePatient()
		d.f.set(slices.DeleteFunc(slices.Clone(d.next), func(l *listener) bool { return slices.Contains(c.fresh, l) }))
	}
	for _, d := range c.daemons {
		if d.old != nil {
			d.f.set(d.next)
			d.f.becameReady()
			continue
		}
		u.startForwards(ctx, d, before != nil)
	}
	switch {
	case c.exposure != nil:
		u.startExposure(ctx, c.exposure)
	case c.targets != nil:
		u.exposure.x.exposer.SetTargets(c.targets)
	case u.exposure != nil:
		u.exposure.end()
		u.exposure = nil
	}
	if before != nil && before.hold != c.plan.hold {
		u.setHoldTime(c.plan.hold)
	}
	u.publish()
	u.rouse()
}

// setHoldTime changes it everywhere; prepare has checked it.
func (u *up) setHoldTime(d time.Duration) {
	for _, p := range u.parts() {
		var err error
		if p.f != nil {
			err = p.f.setHoldTime(d)
		} else {
			err = p.x.setHoldTime(d)
		}
		if err != nil {
			u.m.log.Warn("hold time not changed", "err", err)
		}
	}
}

func (u *up) startForwards(ctx context.Context, d daemonChange, patient bool) {
	p := &part{f: d.f}
	for _, l := range d.next {
		l.bindLate()
	}
	d.f.mu.Lock()
	d.f.listeners, d.f.patient = d.next, patient
	d.f.mu.Unlock()
	d.f.o.onReady = func() {
		p.ready.Store(true)
		u.rouse()
	}
	u.forwards[d.name] = p
	u.start(ctx, p, func(ctx context.Context) error {
		defer d.f.close()
		return d.f.run(ctx)
	})
}

func (u *up) startExposure(ctx context.Context, x *exposure) {
	p := &part{x: x}
	x.o.Ready = func() {
		p.ready.Store(true)
		u.rouse()
	}
	u.exposure = p
	u.start(ctx, p, x.run)
}

// endForwards ends the forwards to a daemon that the file does not have any more.
func (p *part) endForwards() {
	was := p.alive()
	var closed []Event
	for _, l := range p.f.list() {
		closed = append(closed, l.closedEvent())
	}
	p.end()
	for _, e := range closed {
		if was {
			p.f.sink(e)
		}
	}
}
