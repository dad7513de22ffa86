package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// direction of a bulk transfer, as the client sees it. It is also the first byte of a
// connection to the bulk server.
type direction byte

const (
	down direction = 'D'
	up   direction = 'U'
)

func (d direction) String() string {
	if d == up {
		return "up"
	}
	return "down"
}

// bulkBuffer is what the load reads and writes at once.
const bulkBuffer = 128 << 10

// bulkServer sends for ever (down) or reads for ever (up).
type bulkServer struct {
	l        net.Listener
	addr     string
	received atomic.Int64 // bytes, of all connections
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
	idle  *sync.Cond            // on mu: conns has become empty
}

// serveBulk serves on l until close.
func serveBulk(l net.Listener) *bulkServer {
	s := &bulkServer{l: l, addr: l.Addr().String(), conns: make(map[net.Conn]struct{})}
	s.idle = sync.NewCond(&s.mu)
	s.wg.Go(s.accept)
	return s
}

func (s *bulkServer) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() { s.serve(c) })
	}
}

func (s *bulkServer) serve(c net.Conn) {
	defer func() {
		_ = c.Close() // whatever was measured is over
		s.mu.Lock()
		delete(s.conns, c)
		s.idle.Broadcast()
		s.mu.Unlock()
	}()
	buf := make([]byte, bulkBuffer)
	if n, err := c.Read(buf[:1]); n == 0 || err != nil {
		return
	}
	if direction(buf[0]) == down {
		writeForever(c, buf)
		return
	}
	readForever(c, buf, &s.received)
}

// drain waits until no connection is left, which is when a transfer's last bytes have gone through the system.
func (s *bulkServer) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	stop := context.AfterFunc(ctx, s.idle.Broadcast)
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("%d bulk connections do not end: %w", len(s.conns), context.Cause(ctx))
		}
		s.idle.Wait()
	}
	return nil
}

func (s *bulkServer) close() {
	_ = s.l.Close() // nothing is lost by it
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close() // as above
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func writeForever(c net.Conn, buf []byte) {
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	for {
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

func readForever(c net.Conn, buf []byte, n *atomic.Int64) {
	for {
		k, err := c.Read(buf)
		n.Add(int64(k))
		if err != nil {
			return
		}
	}
}

// transfer is bulk through a system, until stop.
type transfer struct {
	in     *instance
	dir    direction
	conns  []*net.TCPConn
	got    atomic.Int64 // bytes received at the client
	from   int64        // received at the server, when it began
	wg     sync.WaitGroup
	ending atomic.Bool
	broken atomic.Int32 // connections that ended by themselves
}

// startTransfer opens streams and lets data flow in all of them.
func startTransfer(ctx context.Context, in *instance, dir direction, streams int) (*transfer, error) {
	t := &transfer{in: in, dir: dir, from: in.site.bulk.received.Load()}
	for range streams {
		c, err := in.site.dial(ctx, in.bulk)
		if err == nil {
			t.conns = append(t.conns, c)
			_, err = c.Write([]byte{byte(dir)})
		}
		if err != nil {
			return nil, errors.Join(err, t.stop(ctx))
		}
		t.wg.Go(func() {
			buf := make([]byte, bulkBuffer)
			if dir == down {
				readForever(c, buf, &t.got)
			} else {
				writeForever(c, buf)
			}
			if !t.ending.Load() {
				t.broken.Add(1)
			}
		})
	}
	return t, nil
}

// bytes is what has arrived.
func (t *transfer) bytes() int64 {
	if t.dir == up {
		return t.in.site.bulk.received.Load() - t.from
	}
	return t.got.Load()
}

// stop ends the streams and waits until the system has let go of them. A stream that had ended by itself is an error.
func (t *transfer) stop(ctx context.Context) error {
	t.ending.Store(true)
	for _, c := range t.conns {
		_ = c.SetLinger(0) // a reset: nobody needs what is still on its way
		_ = c.Close()      // it may have ended
	}
	t.wg.Wait()
	if n := t.broken.Load(); n > 0 {
		return fmt.Errorf("%d of %d streams of %s ended during the transfer", n, len(t.conns), t.in.system)
	}
	return t.in.site.bulk.drain(ctx)
}

// pause waits for d.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
