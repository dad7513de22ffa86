//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// route is the network between one machine and the relay: an HTTP CONNECT proxy, so that
// each process has one of its own by HTTPS_PROXY, and all see the relay under the same
// URL. It can do to connections what networks do to them. Its methods may be called
// concurrently.
type route struct {
	t     *testing.T
	ln    net.Listener
	relay *relayAddr
	wg    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	mode    routeMode
	changed chan struct{} // closed when mode changes
	closed  bool
	open    map[*net.TCPConn]connState // every connection of either side
}

type connState uint8

const (
	begun   connState = iota // the relay is not in it yet
	carried                  // its packets come and go
	lost                     // its packets go nowhere, for ever
)

type routeMode uint8

const (
	passing  routeMode = iota
	refusing           // new connections are reset
	dropping           // no packet arrives: connections stand still, new ones are not answered
)

func newRoute(t *testing.T, relay *relayAddr) *route {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &route{t: t, ln: ln, relay: relay, changed: make(chan struct{}), open: map[*net.TCPConn]connState{}}
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// url is what HTTPS_PROXY says.
func (r *route) url() string { return "http://" + r.ln.Addr().String() }

// reset cuts every connection with RST and refuses new ones until pass.
func (r *route) reset() {
	r.set(refusing)
	r.mu.Lock()
	defer r.mu.Unlock()
	abort(slices.Collect(maps.Keys(r.open))...)
}

// drop lets no packet through until pass. Nobody is told.
func (r *route) drop() { r.set(dropping) }

// pass lets everything through. Connections that stood still go on.
func (r *route) pass() { r.set(passing) }

// forget makes the route pass again, but for the connections of before: whoever
// translated their addresses does not know them any more. Nobody is told of that either.
// What was begun meanwhile is begun anew by the system: those connections get through.
func (r *route) forget() {
	r.mu.Lock()
	for c, how := range r.open {
		if how == carried {
			r.open[c] = lost
		}
	}
	r.mu.Unlock()
	r.set(passing)
}

func (r *route) set(m routeMode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = m
	close(r.changed)
	r.changed = make(chan struct{})
	if m == dropping {
		for c := range r.open {
			_ = c.SetReadDeadline(time.Unix(1, 0)) // its carrier looks at the mode
		}
	}
}

func (r *route) close() {
	_ = r.ln.Close() // ends accept
	r.mu.Lock()
	r.closed = true
	abort(slices.Collect(maps.Keys(r.open))...)
	r.mu.Unlock()
	r.set(passing)
	r.wg.Wait()
}

func (r *route) accept() {
	for {
		c, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(c.(*net.TCPConn)) })
	}
}

// serve connects one client with the relay and carries bytes until both directions have
// ended.
func (r *route) serve(machine *net.TCPConn) {
	defer machine.Close()
	if !r.enter(machine) {
		return
	}
	defer r.leave(machine)
	if r.hold(machine) != nil {
		return
	}
	req, err := http.ReadRequest(bufio.NewReader(machine))
	if err != nil || req.Method != http.MethodConnect {
		abort(machine)
		return
	}
	c, err := r.relay.dial(req.Host)
	if err != nil {
		abort(machine)
		return
	}
	relay := c.(*net.TCPConn)
	defer relay.Close()
	if !r.enter(relay) {
		return
	}
	defer r.leave(relay)
	if _, err := io.WriteString(machine, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		abort(relay)
		return
	}
	r.mu.Lock()
	r.open[machine], r.open[relay] = carried, carried
	r.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() { r.carry(relay, machine) })
	r.carry(machine, relay)
	up.Wait()
}

// enter takes a connection into the route's hands; false when it takes no more.
func (r *route) enter(c *net.TCPConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.mode == refusing {
		abort(c)
		return false
	}
	if r.mode == dropping {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // as set does
	}
	r.open[c] = begun
	return true
}

func (r *route) leave(c *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

// hold blocks while no packet of c gets through.
func (r *route) hold(c *net.TCPConn) error {
	for {
		r.mu.Lock()
		how, open := r.open[c]
		stands, changed := r.mode == dropping, r.changed
		if r.closed || !open {
			r.mu.Unlock()
			return net.ErrClosed
		}
		if how != lost && !stands {
			err := c.SetReadDeadline(time.Time{})
			r.mu.Unlock()
			return err
		}
		r.mu.Unlock()
		<-changed
	}
}

// carry copies one direction. On Linux no byte comes to user space (splice).
func (r *route) carry(to, from *net.TCPConn) {
	for {
		_, err := io.Copy(to, from)
		switch {
		case err == nil:
			_ = to.CloseWrite() // the end is carried like a byte; there may be nobody any more
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.hold(from) == nil {
				continue
			}
		}
		abort(to, from)
		return
	}
}

// abort closes with RST. Who is in the middle of copying from one to another holds both,
// and may wait for either: first nobody waits any more.
func abort(conns ...*net.TCPConn) {
	for _, c := range conns {
		_ = c.SetDeadline(time.Unix(1, 0)) // it may be closed already
	}
	for _, c := range conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// relayAddr is where the relays listen now, by the host names of their URLs: each start
// takes another port.
type relayAddr struct {
	mu    sync.Mutex
	addrs map[string][]string // guarded by mu; none: nowhere
	turn  int                 // guarded by mu
}

// set says where the relay is that labURL names; empty: nowhere.
func (a *relayAddr) set(addr string) {
	if addr == "" {
		a.setHost("relay.test")
	} else {
		a.setHost("relay.test", addr)
	}
}

// setHost says where a host name leads to: to each of the addresses in turn.
func (a *relayAddr) setHost(host string, addrs ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.addrs == nil {
		a.addrs = map[string][]string{}
	}
	a.addrs[host] = addrs
}

var errNoRelay = errors.New("the relay is down")

// dial connects with what a URL's host and port lead to.
func (a *relayAddr) dial(hostPort string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	addrs := a.addrs[host]
	a.turn++
	turn := a.turn
	a.mu.Unlock()
	if len(addrs) == 0 {
		return nil, errNoRelay
	}
	return net.Dial("tcp", addrs[turn%len(addrs)])
}
