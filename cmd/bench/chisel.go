package main

import "context"

// chiselSystem is chisel: SSH in a WebSocket, from each end to the server, which sees everything in between.
type chiselSystem struct{}

func (chiselSystem) name() string { return "chisel" }
func (chiselSystem) about() string {
	return "chisel with a reverse tunnel, encrypted to its server, which could read everything"
}
func (chiselSystem) figures() []string  { return nil }
func (chiselSystem) binaries() []string { return []string{program("chisel")} }

func (chiselSystem) missing() string {
	if program("chisel") == "" {
		return "chisel is not in PATH"
	}
	return ""
}

func (y chiselSystem) start(ctx context.Context, b *world, s *site) (_ *instance, err error) {
	in := &instance{site: s}
	defer func() {
		if err != nil {
			in.stop()
		}
	}()
	server, err := s.freeAddr(relayRole)
	if err != nil {
		return nil, err
	}
	spawn := func(r role, args ...string) error {
		p, err := b.spawn(s.place(r), r, program("chisel"), args...)
		if err == nil {
			in.add(p)
		}
		return err
	}
	ip := s.place(relayRole).ip
	if err := spawn(relayRole, "server", "--reverse", "--host", ip, "--port", portOf(server)); err != nil {
		return nil, err
	}
	if err := awaitListener(ctx, s, relayRole, server); err != nil {
		return nil, err
	}
	near, err := s.via(daemonRole, server)
	if err != nil {
		return nil, err
	}
	far, err := s.via(clientRole, server)
	if err != nil {
		return nil, err
	}
	args := []string{"client", "http://" + near}
	var remotes []string // where the server listens for what the daemon's end has
	for _, addr := range []string{s.bulk.addr, s.echoAddr} {
		at, err := s.freeAddr(relayRole)
		if err != nil {
			return nil, err
		}
		args, remotes = append(args, "R:"+at+":"+addr), append(remotes, at)
	}
	if err := spawn(daemonRole, args...); err != nil {
		return nil, err
	}
	for _, at := range remotes {
		if err := awaitListener(ctx, s, relayRole, at); err != nil {
			return nil, err
		}
	}
	in.connect = func(context.Context) error {
		args := []string{"client", "http://" + far}
		for i, addr := range []*string{&in.bulk, &in.echo} {
			if *addr, err = s.freeAddr(clientRole); err != nil {
				return err
			}
			args = append(args, *addr+":"+remotes[i])
		}
		return spawn(clientRole, args...)
	}
	return in, nil
}
