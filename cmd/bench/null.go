package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// serveNull is a plain TCP proxy: args are pairs of an address to listen on and one to dial. It
// prints the addresses it listens on, one a line.
func serveNull(args []string, out io.Writer) error {
	if len(args) == 0 || len(args)%2 != 0 {
		return fmt.Errorf("got %d arguments, want pairs of addresses", len(args))
	}
	for i := 0; i < len(args); i += 2 {
		l, err := net.Listen("tcp", args[i])
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Fprintln(out, l.Addr())
		go acceptNull(l, args[i+1]) // ends with the process
	}
	untilParentEnds()
	return nil
}

func acceptNull(l net.Listener, next string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go relayNull(in.(*net.TCPConn), next) // ends with its connection
	}
}

func relayNull(in *net.TCPConn, next string) {
	defer in.Close()
	conn, err := net.Dial("tcp", next)
	if err != nil {
		return
	}
	out := conn.(*net.TCPConn)
	defer out.Close()
	var wg sync.WaitGroup
	wg.Go(func() { copyNull(in, out) })
	copyNull(out, in)
	wg.Wait()
}

// copyNull copies through 32 KiB of user space: the wrappers hide ReadFrom and WriteTo, by
// which io.Copy would have the kernel splice.
func copyNull(dst, src *net.TCPConn) {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 32<<10))
	if err != nil {
		_, _ = dst.SetLinger(0), src.SetLinger(0) // a reset, as a failure should look
		_, _ = dst.Close(), src.Close()
		return
	}
	_ = dst.CloseWrite() // the other side may have gone meanwhile
}

// nullSystem is the chain of three such proxies.
type nullSystem struct{}

func (nullSystem) name() string { return "null" }
func (nullSystem) about() string {
	return "three plain TCP proxies, no cryptography, 32 KiB user-space copies (no splice)"
}
func (nullSystem) missing() string    { return "" }
func (nullSystem) figures() []string  { return nil }
func (nullSystem) binaries() []string { return nil }

func (nullSystem) start(ctx context.Context, b *world, s *site) (*instance, error) {
	in := &instance{site: s}
	hop := func(ctx context.Context, r role, listen []string, next []string) ([]string, error) {
		args := []string{roleNull}
		for i := range next {
			args = append(args, listen[i], next[i])
		}
		p, err := b.spawn(s.place(r), r, b.self, args...)
		if err != nil {
			return nil, err
		}
		in.add(p)
		return p.lines(ctx, len(next))
	}
	any := func(r role) []string { a := s.place(r).ip + ":0"; return []string{a, a} }
	next, err := hop(ctx, daemonRole, any(daemonRole), []string{s.bulk.addr, s.echoAddr})
	if err == nil {
		if next, err = s.viaAll(daemonRole, next); err == nil {
			next, err = hop(ctx, relayRole, any(relayRole), next)
		}
	}
	if err == nil {
		next, err = s.viaAll(clientRole, next)
	}
	if err != nil {
		in.stop()
		return nil, err
	}
	in.connect = func(ctx context.Context) error {
		var listen []string
		for range next {
			a, err := s.freeAddr(clientRole)
			if err != nil {
				return err
			}
			listen = append(listen, a)
		}
		in.bulk, in.echo = listen[0], listen[1]
		_, err := hop(ctx, clientRole, listen, next)
		return err
	}
	return in, nil
}
