package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"time"
)

// serveEcho echoes on the address in args and prints where that is.
func serveEcho(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("got %d arguments, want an address", len(args))
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(out, l.Addr())
	go func() { // ends with the process
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	untilParentEnds()
	return nil
}

// echo has a small buffer: a thousand idle connections are one of its uses.
func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Time limits: no measurement waits for ever.
const (
	startTime = 60 * time.Second // for a program to start or a system to come up
	echoTime  = 20 * time.Second // for one answer
)

// roundTrip sends one byte and waits for it.
func roundTrip(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(echoTime)); err != nil {
		return err
	}
	b := [1]byte{'x'}
	if _, err := c.Write(b[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b[:])
	return err
}

// checkEcho sends a megabyte and compares what comes back: a system that is fast but wrong has no place in a table.
func checkEcho(c *net.TCPConn) error {
	if err := c.SetDeadline(time.Now().Add(startTime)); err != nil {
		return err
	}
	want, got := make([]byte, 1<<20), make([]byte, 1<<20)
	_, _ = rand.Read(want) // never fails
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		failed <- err
	}()
	_, rerr := io.ReadFull(c, got)
	if rerr != nil {
		_ = c.Close() // so that the writer ends
	}
	werr := <-failed
	switch {
	case rerr != nil:
		return fmt.Errorf("read echo: %w", rerr)
	case werr != nil:
		return fmt.Errorf("write to echo: %w", werr)
	case !bytes.Equal(got, want):
		return fmt.Errorf("the echo of 1 MiB is not what was sent")
	}
	return nil
}

// dialEcho connects to the echo server through the system and waits for a first answer, trying again until the system has
// come up.
func (in *instance) dialEcho(ctx context.Context) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		c, err := in.site.dial(ctx, in.echo)
		if err == nil {
			if err = roundTrip(c); err == nil {
				return c, c.SetDeadline(time.Time{})
			}
			_ = c.Close() // of no use
		}
		if ferr := in.failed(); ferr != nil {
			return nil, ferr
		}
		if perr := pause(ctx, time.Millisecond); perr != nil {
			return nil, fmt.Errorf("%s does not answer: %w: %w", in.system, perr, err)
		}
	}
}

// awaitListener waits until addr of r's machine accepts connections.
func awaitListener(ctx context.Context, s *site, r role, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := s.place(r).enter(func() error {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", addr)
			if err == nil {
				err = c.Close()
			}
			return err
		})
		if err == nil {
			return nil
		}
		if perr := pause(ctx, 5*time.Millisecond); perr != nil {
			return fmt.Errorf("nobody listens on %s: %w", addr, err)
		}
	}
}
