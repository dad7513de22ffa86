package tunnel_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"culvert/mux"
	"culvert/mux/muxtest"
	"culvert/tunnel"
)

// What a daemon's owner writes, and what becomes of it.
func ExampleParseTarget() {
	for _, s := range []string{"3000", "web=3000", "db=unix:/run/postgresql/.s.PGSQL.5432", "lan=10.0.0.0/8:443"} {
		t, err := tunnel.ParseTarget(s)
		fmt.Println(t.Name, t.Network, t.Address, err)
	}
	_, err := tunnel.ParseTarget("10.0.0.0/8:443")
	fmt.Println(err)
	// Output:
	// 3000 tcp localhost:3000 <nil>
	// web tcp localhost:3000 <nil>
	// db unix /run/postgresql/.s.PGSQL.5432 <nil>
	// lan cidr  <nil>
	// target "10.0.0.0/8:443": a network needs a name: write lan=10.0.0.0/8:443
}

// What a client's user writes, and what becomes of it.
func ExampleParseForward() {
	for _, s := range []string{"web", "8080:web", "unix:/tmp/db.sock:db", "8443:lan/10.1.2.3:443", "socks5:1080"} {
		f, err := tunnel.ParseForward(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: listens on %s, leads to %s\n", s, f.Network, f.Target)
	}
	// Output:
	// web: listens on tcp, leads to web
	// 8080:web: listens on tcp, leads to web
	// unix:/tmp/db.sock:db: listens on unix, leads to db
	// 8443:lan/10.1.2.3:443: listens on tcp, leads to lan/10.1.2.3:443
	// socks5:1080: listens on tcp, leads to socks5
}

// onlyGreeting grants one target to everybody.
type onlyGreeting struct{}

func (onlyGreeting) Allowed(_ [32]byte, target string) error {
	if target != "greeting" {
		return errors.New("not granted")
	}
	return nil
}

// The two ends of a link, joined here by a carrier in memory; in culvert it is a session of
// package sbrp/endpoint. At the daemon an Exposer serves the streams of each client, at the
// client Connect opens one, and a Forward does so for each local connection.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	carriers := muxtest.NewPair(nil)

	// The daemon: a target, who may reach it, and what serves admitted clients.
	ln := greet(&work)
	defer ln.Close()
	targets, err := tunnel.ParseTargets("greeting="+ln.Addr().String(), "secret=22")
	check(err)
	exposer, err := tunnel.NewExposer(tunnel.ExposerConfig{Targets: targets, Grants: onlyGreeting{}})
	check(err)
	server, err := mux.NewServer(mux.ServerConfig{
		Admit: func(_ context.Context, h mux.Hello) (mux.Admission, error) {
			return mux.Admission{Name: h.Name}, nil // h.Key has been proved
		},
		Handle: func(ctx context.Context, s *mux.Session) { _ = exposer.Serve(ctx, s) },
	})
	check(err)
	work.Go(func() { _ = server.Run(ctx) })
	work.Go(func() { _ = server.Serve(ctx, carriers.B) })

	// The client: a key of its own, and a link on the carrier.
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	client, err := mux.NewClient(mux.ClientConfig{
		Key: [32]byte(public), Sign: func(msg []byte) []byte { return ed25519.Sign(private, msg) }, Name: "example",
	})
	check(err)
	work.Go(func() { _ = client.Run(ctx) })
	work.Go(func() { _ = client.Serve(ctx, carriers.A) })

	// A connection of the program's own.
	conn, err := tunnel.Connect(ctx, client, "greeting")
	check(err)
	said, err := io.ReadAll(conn)
	check(err)
	fmt.Printf("%s\n", said)
	check(conn.Close())

	// A local address for other programs.
	spec, err := tunnel.ParseForward("0:greeting")
	check(err)
	forward, err := tunnel.NewForward(tunnel.ForwardConfig{Spec: spec, Opener: client})
	check(err)
	addr, err := forward.Bind()
	check(err)
	work.Go(func() { _ = forward.Run(ctx) })
	local, err := net.Dial(addr.Network(), addr.String())
	check(err)
	said, err = io.ReadAll(local)
	check(err)
	fmt.Printf("%s, by a local address\n", said)
	check(local.Close())

	// What is not granted is told as such.
	_, err = tunnel.Connect(ctx, client, "secret")
	refused, _ := errors.AsType[*tunnel.StatusError](err)
	fmt.Println(refused.Status)
	// Output:
	// hello
	// hello, by a local address
	// denied
}

// greet serves a target: a greeting for each connection until the listener is closed.
func greet(work *sync.WaitGroup) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello") // the client may have left
			_ = c.Close()
		}
	})
	return ln
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
