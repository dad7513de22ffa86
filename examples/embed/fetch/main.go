// Fetch is a Go program that gets a page from a target of a daemon through a connection of
// its own: no local port that others on this machine could use.
//
//	fetch DAEMON URL, where the URL's host is a target: fetch laptop http://hello/
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"culvert/config"
	"culvert/service"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fetch DAEMON URL")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := fetch(ctx, os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		var e *service.Error
		if errors.As(err, &e) && e.Mend != "" {
			fmt.Fprintln(os.Stderr, "  try:", e.Mend)
		}
		cancel()
		os.Exit(int(service.CodeOf(err))) // the exit codes of the culvert command
	}
}

func fetch(ctx context.Context, daemon, url string, out io.Writer) error {
	state, err := config.StateDir("") // where `culvert pair` has put the pin of the daemon
	if err != nil {
		return err
	}
	dialer := service.NewDialer(service.DialerOptions{
		Common: service.Common{StateDir: state, Program: "fetch example"},
		Daemon: daemon,
	}, nil)
	// Run keeps the link, also over a change of the network, until it is told to end.
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = dialer.Run(running) // what ends it is what DialContext returns
	}()
	defer func() {
		stop()
		<-ended
	}()

	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the target says %s", resp.Status)
	}
	_, err = io.Copy(out, resp.Body)
	return err
}
