package main

import (
	"net"
	"sync"
	"time"
)

// shaper is a path made of proxies in this process, for machines on which no network can be made: it delays bytes and limits
// their rate, and lets the sender wait where a real queue would lose packets.
type shaper struct {
	legs map[role]*leg
	done chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	now    role           // guarded by mu; whose connections come next where the address does not tell
	open   []net.Listener // guarded by mu
	conns  map[net.Conn]struct{}
	closed bool
}

func newShaper() *shaper {
	return &shaper{
		legs: map[role]*leg{clientRole: newLeg(), daemonRole: newLeg()},
		done: make(chan struct{}), conns: make(map[net.Conn]struct{}), now: daemonRole,
	}
}

func (s *shaper) turn() role {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shaper) setTurn(r role) {
	s.mu.Lock()
	s.now = r
	s.mu.Unlock()
}

// listen makes an address whose connections go to addr over the leg that legOf names when they come.
func (s *shaper) listen(addr string, legOf func() *leg) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.open = append(s.open, l)
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.carry(c, addr, legOf()) })
		}
	})
	return l.Addr().String(), nil
}

// hold notes a connection, so that close can end it; false: it is too late.
func (s *shaper) hold(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = struct{}{}
	}
	return !s.closed
}

func (s *shaper) let(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close() // both directions are over
}

func (s *shaper) carry(near net.Conn, addr string, g *leg) {
	defer s.let(near)
	far, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer s.let(far)
	if !s.hold(near) || !s.hold(far) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.copy(near, far, g.in) })
	s.copy(far, near, g.out)
	wg.Wait()
}

// shaperChunk is what is delayed together.
const shaperChunk = 16 << 10

// parcel is bytes on their way; nil is the end of data.
type parcel struct {
	at time.Time
	b  []byte
}

// copy carries one direction.
func (s *shaper) copy(dst, src net.Conn, l *lane) {
	way := make(chan parcel, 4096) // never the bound: that is the lane's queue
	var wg sync.WaitGroup
	wg.Go(func() {
		a := newAlarm()
		failed := false
		for p := range way {
			a.until(p.at, s.done)
			if p.b == nil {
				_ = dst.(*net.TCPConn).CloseWrite() // it may have gone
			} else if !failed {
				if _, err := dst.Write(p.b); err != nil {
					failed = true
					_ = src.Close() // so that the reader below ends
				}
			}
		}
	})
	a := newAlarm()
	for {
		b := make([]byte, shaperChunk)
		n, err := src.Read(b)
		for n > 0 {
			if at, ok := l.admit(n); ok {
				way <- parcel{at, b[:n]}
				break
			}
			select {
			case <-s.done:
				n, err = 0, net.ErrClosed
			default:
				a.until(time.Now().Add(max(l.backlog()-queueTime, time.Millisecond)), s.done)
			}
		}
		if err != nil {
			way <- parcel{time.Now().Add(l.now.Load().delay), nil}
			break
		}
	}
	close(way)
	wg.Wait()
}

func (s *shaper) close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.open {
		_ = l.Close() // nothing is lost by it
	}
	for c := range s.conns {
		_ = c.Close() // as above
	}
	s.mu.Unlock()
	close(s.done)
	s.wg.Wait()
}

// shapedSite is this machine three times with a shaper in between.
func shapedSite() (*site, func(conditions)) {
	s := loopbackSite()
	s.shaper = newShaper()
	return s, func(c conditions) {
		for _, g := range s.shaper.legs {
			g.set(c)
		}
	}
}
