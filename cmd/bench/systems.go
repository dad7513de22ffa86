package main

import (
	"context"
	"fmt"
	"slices"
)

// role is a machine's part in the topology.
type role string

const (
	clientRole role = "client"
	relayRole  role = "relay"
	daemonRole role = "daemon"
)

// system is something that carries TCP connections from a client through a relay to a daemon.
type system interface {
	name() string
	about() string
	// missing says why the system cannot be measured here; empty: it can.
	missing() string
	// figures are those it takes part in; nil: all.
	figures() []string
	// binaries are the files whose size is its size; may be nil.
	binaries() []string
	// start starts relay and daemon. The instance's connect starts the client.
	start(ctx context.Context, b *world, s *site) (*instance, error)
}

func allSystems() []system {
	return []system{
		nullSystem{}, &culvertSystem{}, &culvertSystem{tls: true},
		sshSystem{"chacha20", "chacha20-poly1305@openssh.com"}, sshSystem{"aes128gcm", "aes128-gcm@openssh.com"},
		frpSystem{}, chiselSystem{},
	}
}

func systemNames() []string {
	var names []string
	for _, s := range allSystems() {
		names = append(names, s.name())
	}
	return names
}

// instance is a system that runs on a site. One goroutine uses it.
type instance struct {
	system  string
	site    *site
	connect func(ctx context.Context) error // starts the client, which then is on its way to work
	procs   []*proc
	bulk    string // where the client's machine reaches the bulk server through the system
	echo    string // and the echo server
	dirs    []func()
}

func (in *instance) add(p *proc) { in.procs = append(in.procs, p) }

// stopRole ends the processes of one machine.
func (in *instance) stopRole(r role) {
	in.procs = slices.DeleteFunc(in.procs, func(p *proc) bool {
		if p.role == r {
			p.stop()
		}
		return p.role == r
	})
}

// stop ends everything, clients first.
func (in *instance) stop() {
	for _, p := range slices.Backward(in.procs) {
		p.stop()
	}
	in.procs = nil
	for _, clean := range in.dirs {
		clean()
	}
}

// ready starts the client and waits until both forwards carry data, byte for byte.
func (in *instance) ready(ctx context.Context) error {
	if err := in.connect(ctx); err != nil {
		return err
	}
	c, err := in.dialEcho(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return checkEcho(c)
}

// pids are the processes with their part.
func (in *instance) pids() map[int]role {
	m := make(map[int]role)
	for _, p := range in.procs {
		m[p.cmd.Process.Pid] = p.role
	}
	return m
}

// failed tells which process has ended although it should not have.
func (in *instance) failed() error {
	for _, p := range in.procs {
		if p.over() {
			return fmt.Errorf("%s of %s has ended: %s", p.role, in.system, p.lastWords())
		}
	}
	return nil
}
