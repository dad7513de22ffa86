//go:build unix

package main

import (
	"net"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// cmdBound is "bound VAR": takes a port on which nothing listens yet, so that connections
// are refused and nobody else can take it.
func cmdBound(ts *testscript.TestScript, _ bool, args []string) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	ts.Check(err)
	unix.CloseOnExec(fd)
	ts.Check(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := unix.Getsockname(fd)
	ts.Check(err)
	addr := "127.0.0.1:" + strconv.Itoa(name.(*unix.SockaddrInet4).Port)
	w := worldOf(ts)
	w.sockets[addr] = fd
	w.closers = append(w.closers, func() {
		if fd, ok := w.sockets[addr]; ok {
			_ = unix.Close(fd)
		}
	})
	ts.Setenv(args[0], addr)
}

// cmdServe is "serve ADDR": an echo server on the port that bound took.
func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	fd, ok := w.sockets[args[0]]
	if !ok {
		ts.Fatalf("%s was not bound", args[0])
	}
	delete(w.sockets, args[0])
	ts.Check(unix.Listen(fd, 16))
	f := os.NewFile(uintptr(fd), "bound socket")
	ln, err := net.FileListener(f)
	ts.Check(err)
	ts.Check(f.Close()) // the listener has a copy
	serveEcho(ts, ln)
}
