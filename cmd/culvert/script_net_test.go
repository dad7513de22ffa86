package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdWebServer is "webserver VAR DIR": a real HTTP server of the directory's files; VAR
// gets its HOST:PORT.
func cmdWebServer(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[1]))))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.Listener.Addr().String())
}

// cmdEchoServer is "echoserver VAR": answers each byte with itself.
func cmdEchoServer(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	serveEcho(ts, ln)
	ts.Setenv(args[0], ln.Addr().String())
}

// cmdUnixEcho is "unixecho PATH": an echo server on a Unix socket.
func cmdUnixEcho(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	serveEcho(ts, ln)
}

// serveEcho serves until the script ends.
func serveEcho(ts *testscript.TestScript, ln net.Listener) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn // guarded by mu
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	ts.Defer(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// stream is a connection that a script holds open.
type stream struct{ conn net.Conn }

// cmdStream is "stream open NAME ADDR", "stream alive NAME" (an echo comes back),
// "stream carries NAME FILE" (the echo is the file, byte for byte) and "stream dropped NAME"
// (the connection ends without being closed here).
func cmdStream(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	if args[0] == "open" {
		network, addr := "tcp", args[2]
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			network, addr = "unix", path
		}
		c, err := net.Dial(network, addr)
		ts.Check(err)
		w.streams[args[1]] = &stream{conn: c}
		return
	}
	c := w.streams[args[1]].conn
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	switch args[0] {
	case "alive":
		said := []byte(rand.Text())
		_, err := c.Write(said)
		ts.Check(err)
		heard := make([]byte, len(said))
		_, err = io.ReadFull(c, heard)
		ts.Check(err)
		if !bytes.Equal(said, heard) {
			ts.Fatalf("said %q, heard %q", said, heard)
		}
	case "carries":
		carryFile(ts, c, ts.MkAbs(args[2]))
	case "dropped":
		_, err := c.Read(make([]byte, 1))
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			ts.Fatalf("the connection still stands (%v)", err)
		}
		ts.Logf("%s: %v", args[1], err)
	default:
		ts.Fatalf("usage: stream open|alive|carries|dropped NAME [ADDR|FILE]")
	}
}

// carryFile sends a file and wants the very same back meanwhile.
func carryFile(ts *testscript.TestScript, c net.Conn, file string) {
	want, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(c.SetDeadline(time.Now().Add(4 * patience))) // the way may be lost several times
	sent := make(chan error, 1)
	go func() { _, err := c.Write(want); sent <- err }() // waited for below
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if !bytes.Equal(got[:n], want[:n]) {
		ts.Fatalf("wrong bytes among the first %d", n)
	}
	ts.Check(errors.Join(err, <-sent))
}

// cmdRefused is "refused ADDR": a local connection there is reset; a local program does
// not take an empty answer for a good one.
func cmdRefused(ts *testscript.TestScript, _ bool, args []string) {
	c, err := net.Dial("tcp", args[0])
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		ts.Fatalf("read %d bytes, %v; want a reset", n, err)
	}
}

// cmdRandFile is "randfile FILE SIZE", such as 64MiB.
func cmdRandFile(ts *testscript.TestScript, _ bool, args []string) {
	size, ok := strings.CutSuffix(args[1], "MiB")
	if !ok {
		ts.Fatalf("usage: randfile FILE nMiB")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = io.CopyN(f, rand.Reader, int64(number(ts, size))<<20)
	ts.Check(errors.Join(err, f.Close()))
}
