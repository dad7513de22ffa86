// Serve is a Go program that makes its own web page reachable by culvert: no second
// process, no port but on loopback.
//
//	serve [NAME]
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"culvert/config"
	"culvert/service"
	"culvert/tunnel"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := "" // the host's
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if err := serve(ctx, name); err != nil {
		stop()
		log.Fatal(err)
	}
}

func serve(ctx context.Context, name string) error {
	// The keys and grants of the culvert command, which logs in and pairs: CULVERT_STATE_DIR
	// or the user's configuration directory.
	state, err := config.StateDir("")
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "hello from a program that embeds culvert")
		}),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	defer srv.Close()

	target, err := tunnel.ParseTarget("hello=" + ln.Addr().String())
	if err != nil {
		return err
	}
	// Blocks until ctx ends, and retries what can heal by itself.
	err = service.Expose(ctx, service.ExposeOptions{
		Common:  service.Common{StateDir: state, Program: "serve example"},
		Name:    name,
		Targets: []tunnel.Target{target},
	}, func(e service.Event) { log.Print(e.Event, " ", e.Name, e.Client, e.Reason) })
	if err != nil {
		return err
	}
	_ = srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
