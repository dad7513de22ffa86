package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp/wsconn"
)

// ends is a process full of real endpoints: daemons, or clients' sessions. Each goes its own way: one TCP
// connection for each request to the control plane and one for its WebSocket.
type ends struct {
	url, key string
	http     *http.Client
	dial     wsconn.DialOptions
	source   atomic.Uint64

	daemons  []*loadDaemon
	sessions []*loadSession

	mu      sync.Mutex
	online  int           // guarded by mu; daemons
	changed chan struct{} // guarded by mu; closed when online changes
	last    error         // guarded by mu; why a daemon went or is not online
}

// serveLoad is the role: args are the control plane's URL, a file with an API key, and a file with the
// certificate to trust or nothing. It reads commands, one a line, and answers each with a line: ok or error, and more.
func serveLoad(args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 || len(args) > 3 {
		return fmt.Errorf("got %d arguments, want URL, key file and perhaps a certificate", len(args))
	}
	key, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	e := &ends{url: args[0], key: strings.TrimSpace(string(key)), changed: make(chan struct{})}
	if err := e.network(args[2:]); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer e.keep(0)
	defer e.end()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		cctx, done := context.WithTimeout(ctx, loadTimeout)
		answer, err := e.obey(cctx, f[0], f[1:])
		done()
		if err != nil {
			fmt.Fprintf(out, "error %s\n", oneLine(err))
			continue
		}
		text, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "ok %s\n", text)
	}
	return lines.Err()
}

// network says how to reach the relay: from several addresses in turn.
func (e *ends) network(certFile []string) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(certFile) > 0 {
		pem, err := os.ReadFile(certFile[0])
		if err != nil {
			return err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return errors.New("no certificate in " + certFile[0])
		}
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: sourceAddress(e.source.Add(1))}
		return d.DialContext(ctx, network, address)
	}
	e.dial = wsconn.DialOptions{TLS: config, NetDial: dial, Timeout: loadTimeout}
	e.http = &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: config, DisableKeepAlives: true}}
	return nil
}

// The commands of the role.
const (
	doDaemons  = "daemons"  // N: there are N daemons, and all of them are online
	doKeep     = "keep"     // N: all but the first N go
	doOnline   = "online"   // N: waits until N daemons are online
	doOffline  = "offline"  // waits until none is
	doList     = "list"     // FILE: writes the daemons' ids and keys
	doSessions = "sessions" // N FILE: opens N sessions with the daemons in FILE, in turn
	doCheck    = "check"    // sends a message through each session and back
	doEnd      = "end"      // ends the sessions
)

func (e *ends) obey(ctx context.Context, command string, args []string) (answer any, err error) {
	number := func() int {
		if len(args) == 0 {
			return -1
		}
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return -1
		}
		return n
	}
	n := number()
	switch {
	case command == doDaemons && n >= 0:
		return nil, e.grow(ctx, n)
	case command == doKeep && n >= 0:
		e.keep(n)
		return nil, nil
	case command == doOnline && n >= 0:
		return nil, e.await(ctx, func(online int) bool { return online >= n })
	case command == doOffline:
		return nil, e.await(ctx, func(online int) bool { return online == 0 })
	case command == doList && len(args) == 1:
		return nil, e.list(args[0])
	case command == doSessions && n >= 0 && len(args) == 2:
		return e.open(ctx, n, args[1])
	case command == doCheck:
		return nil, e.check(ctx)
	case command == doEnd:
		e.end()
		return nil, nil
	}
	return nil, fmt.Errorf("no such command: %s %s", command, strings.Join(args, " "))
}

// loadWorkers is how many daemons or clients come at once, where it is not a storm.
const loadWorkers = 64

// loadTimeout bounds each step of the load.
const loadTimeout = 4 * time.Minute

// atOnce runs f for 0 to n-1, loadWorkers at a time, and returns the first error.
func atOnce(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	var mu sync.Mutex
	var first error
	for range min(n, loadWorkers) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}
