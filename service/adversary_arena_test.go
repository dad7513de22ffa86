package service

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/config"
	"culvert/sbrp"
	"culvert/sbrp/sbrptest"
)

// arena is a world whose relay and control plane are in an adversary's hands: the real parts, with a cheat in front of the
// relay that every machine is told of. The programs at both ends say things that nobody else may see, and know
// what the other one must say.
type arena struct {
	*world
	cheat    *sbrptest.Cheat
	daemonID string
	stop     func() error  // ends the daemon
	patience time.Duration // of a client that connects

	mark    string       // in every line that a program writes
	reached atomic.Int64 // connections to the target
	honest  atomic.Int64 // of those, how many the client of the arena has made, at most

	mu    sync.Mutex
	wrong []string // guarded by mu; bytes that reached a program and that the other program had not written
}

// newArena makes one; relay may change the real relay's options.
func newArena(t *testing.T, relay func(*RelayOptions)) *arena {
	t.Helper()
	a := &arena{world: &world{t: t, dir: t.TempDir()}, cheat: sbrptest.NewCheat(t), patience: testTimeout, mark: rand.Text()}
	a.startRelay(func(o *RelayOptions) {
		o.PublicURL = a.cheat.URL
		if relay != nil {
			relay(o)
		}
	})
	a.cheat.LeadTo(a.relay.Addr)
	a.login("daemon", "daemon")
	a.stop = a.expose("daemon", nil, "prog="+a.program())
	a.pair("daemon", "client")
	a.daemonID = pinned(t, a.world, "client", "daemon").ID
	return a
}

// program is the program behind the target: it answers each line that the client's program says, as long as it is the right one.
func (a *arena) program() (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.reached.Add(1)
			conns.Go(func() { a.answer(c) })
		}
	})
	a.t.Cleanup(func() { ln.Close(); conns.Wait() })
	return ln.Addr().String()
}

func (a *arena) answer(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for n := 0; a.hear("the target", in, a.line("up", n)) == nil; n++ {
		if _, err := io.WriteString(c, a.line("down", n)); err != nil {
			return
		}
	}
}

// line is the n-th line of a connection, one way.
func (a *arena) line(way string, n int) string {
	return fmt.Sprintf("%s %s %d %s\n", way, a.mark, n, strings.Repeat("-", 200))
}

// hear reads a line and notes if it is any but that one. A connection may end anywhere.
func (a *arena) hear(who string, in *bufio.Reader, want string) error {
	got := make([]byte, len(want))
	n, err := io.ReadFull(in, got)
	if string(got[:n]) != want[:n] {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.wrong = append(a.wrong, fmt.Sprintf("%s got %q in the place of %q", who, got[:n], want))
		return errors.New("wrong bytes")
	}
	return err
}

// conversation is a connection of the client's program through the tunnel.
type conversation struct {
	a    *arena
	d    *Dialer
	conn net.Conn
	in   *bufio.Reader
	n    int          // lines so far
	end  func() error // ends the client and returns what it ended with
}

// call has the client machine connect to the target once and say a line: nil, or what the command ends with.
func (a *arena) call(o DialerOptions) error {
	c, err := a.open(o)
	if err != nil {
		return err
	}
	if err := errors.Join(c.talk(), c.end()); err != nil {
		return err
	}
	return nil
}

// attempt is call by the client as it is, which tries once.
func (a *arena) attempt() error { return a.call(DialerOptions{Once: true}) }

// open starts a client that connects to the target.
func (a *arena) open(o DialerOptions) (*conversation, error) {
	if o.StateDir == "" {
		o.Common = a.common("client")
	}
	if o.Daemon == "" {
		o.Daemon = "daemon"
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), a.patience)
	d := NewDialer(o, nil)
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }() // waited for by end
	c := &conversation{a: a, d: d, end: sync.OnceValue(func() error {
		cancel()
		return <-ran
	})}
	var err error
	if c.conn, err = d.Dial(ctx, "prog"); err != nil {
		return nil, errors.Join(c.end(), fmt.Errorf("dial: %w", err))
	}
	a.honest.Add(1)
	a.t.Cleanup(func() { c.conn.Close(); _ = c.end() }) // what it ended with has been looked at
	c.in = bufio.NewReader(c.conn)
	return c, nil
}

// talk says a line and hears the answer.
func (c *conversation) talk() error {
	_ = c.conn.SetDeadline(time.Now().Add(testTimeout)) // an ended one says so on writing
	if _, err := io.WriteString(c.conn, c.a.line("up", c.n)); err != nil {
		return fmt.Errorf("line %d: %w", c.n, err)
	}
	if err := c.a.hear("the client's program", c.in, c.a.line("down", c.n)); err != nil {
		return fmt.Errorf("answer %d: %w", c.n, err)
	}
	c.n++
	return nil
}

// meanwhile opens a conversation, has the adversary act, and goes on with it: every byte has to arrive.
func (a *arena) meanwhile(act func()) error {
	c, err := a.open(DialerOptions{})
	if err != nil {
		return err
	}
	if err := c.talk(); err != nil {
		return err
	}
	act()
	for range 3 {
		if err := c.talk(); err != nil {
			return err
		}
	}
	return c.end()
}

// proof is what holds whatever the adversary did: it has seen nothing that a program wrote, no program has got anything
// but what the other one wrote, nobody but the client has reached the target, and neither machine trusts anybody new.
func (a *arena) proof(t *testing.T, clients ...string) {
	t.Helper()
	if a.cheat.Saw([]byte(a.mark)) || a.cheat.Saw([]byte(a.mark[:8])) {
		t.Error("plaintext of a program has left a machine")
	}
	if a.cheat.Seen() < 1000 {
		t.Errorf("the adversary has seen %d bytes in all: is it in the middle?", a.cheat.Seen())
	}
	a.mu.Lock()
	for _, w := range a.wrong {
		t.Error(w)
	}
	a.mu.Unlock()
	if got, most := a.reached.Load(), a.honest.Load(); got > most {
		t.Errorf("the target was reached %d times, the client did so %d times", got, most)
	}
	rows, problems, err := Clients(t.Context(), a.common("daemon"))
	if err != nil || len(problems) > 0 || len(rows) != 1+len(clients) {
		t.Errorf("the daemon's clients: %+v, %v, %v; want %d", rows, problems, err, 1+len(clients))
	}
	m, err := openMachine(a.t.Context(), a.common("daemon"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if p := pinned(t, a.world, "client", "daemon"); p.Key != m.identity.PublicKey() || p.Trust != config.TrustPaired {
		t.Errorf("the client's pin is %+v", p)
	}
}

// deliver sets what becomes of the first frame of a type that goes to an endpoint; all others pass.
func (a *arena) deliver(to sbrp.Role, typ sbrp.FrameType, f func(d sbrptest.Delivery) [][]byte) {
	var once sync.Once
	a.cheat.Deliver(func(d sbrptest.Delivery) (out [][]byte) {
		out = [][]byte{d.Message}
		if d.To == to && d.Frame.Type == typ {
			once.Do(func() { out = f(d) })
		}
		return out
	})
}

// every makes an attempt for each number below n, in all of which the adversary acts alike. The errors must be of
// one kind; it returns one of them, or the one that is not.
func (a *arena) every(n int, to sbrp.Role, typ sbrp.FrameType, f func(i int, d sbrptest.Delivery) [][]byte) error {
	var first *Error
	var mu sync.Mutex
	met := make(map[sbrp.SessionID]bool) // in which it has acted: what comes late of an earlier attempt passes
	for i := range n {
		a.cheat.Deliver(func(d sbrptest.Delivery) [][]byte {
			mu.Lock()
			act := d.To == to && d.Frame.Type == typ && !met[d.SessionID]
			met[d.SessionID] = met[d.SessionID] || act && d.SessionID != 0
			mu.Unlock()
			if act {
				return f(i, d)
			}
			return [][]byte{d.Message}
		})
		err := classify(a.attempt())
		switch {
		case err == nil:
			return fmt.Errorf("case %d: the attempt succeeded", i)
		case first == nil:
			first = err
		case first.Code != err.Code || first.Name != err.Name:
			return fmt.Errorf("case %d: %s %w; the first: %w", i, err.Name, err.Err, first)
		}
	}
	if first == nil {
		return errors.New("no case")
	}
	return first
}
