package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Hidden roles: this binary runs itself as the processes that a measurement needs beside
// the systems. The first argument names the role.
const (
	roleNull = "role-null" // a plain TCP proxy
	roleEcho = "role-echo" // a server that echoes
	rolePing = "role-ping" // measures round trips
	roleLoad = "role-load" // many daemons, or many clients' sessions
)

// runRole runs the hidden role that args name; ok is false when they name none. A role that
// serves ends when its standard input does, so that none outlives the bench.
func runRole(args []string) (code int, ok bool) {
	if len(args) == 0 || !strings.HasPrefix(args[0], "role-") {
		return 0, false
	}
	var err error
	switch args[0] {
	case roleNull:
		err = serveNull(args[1:], os.Stdout)
	case roleEcho:
		err = serveEcho(args[1:], os.Stdout)
	case rolePing:
		err = runPing(args[1:], os.Stdout)
	case roleLoad:
		err = serveLoad(args[1:], os.Stdin, os.Stdout)
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", args[0], err)
		return 1, true
	}
	return 0, true
}

// untilParentEnds blocks until standard input ends: the bench holds its other end.
func untilParentEnds() {
	_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end too
}
